"""The format of each family, for a model whose file has what the family needs."""

from __future__ import annotations

from seekd.engine.scripted import ScriptedVocabulary
from seekd.prompt.render.chat_formats import ModelFacts, chat_format
from seekd.prompt.types import ChatFormat, PromptFormat
from tests.unit.prompt.templates import CHATML

V32_TEMPLATE = (
    "{%- set dsml_token = '｜DSML｜' -%}{{ '<｜begin▁of▁sentence｜>' }}"
    "{%- if messages[0].role == 'system' -%}{{ messages[0].content }}{%- endif -%}"
    "{%- if tools -%}{{ '\\n\\n' }}## Tools\nCall with <{{ dsml_token }}function_calls>. Here are the functions:\n"
    "<functions>\n{%- for tool in tools -%}{{ '\\n' }}{{ tool | tojson(ensure_ascii=False) }}{%- endfor -%}"
    "{{ '\\n' }}</functions>{{ '\\n' }}{%- endif -%}"
    "{%- for message in messages if message.role == 'user' -%}"
    "<｜User｜>{{ message.content }}<｜Assistant｜>{%- endfor -%}"
)


def speaker_of(prompt_format: PromptFormat) -> ChatFormat:
    template = V32_TEMPLATE if prompt_format is PromptFormat.V32 else CHATML
    return chat_format(prompt_format, ModelFacts(template=template, special_tokens=ScriptedVocabulary().special_tokens))
