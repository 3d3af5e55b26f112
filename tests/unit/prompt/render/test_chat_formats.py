from __future__ import annotations

from typing import get_args

import pytest

from seekd.engine.scripted import ScriptedVocabulary
from seekd.errors import ConfigError
from seekd.models.settings import FormatName
from seekd.prompt.call_syntax import CALL_SYNTAXES
from seekd.prompt.render.chat_formats import ModelFacts, chat_format, facts_of
from seekd.prompt.render.segments import encode
from seekd.prompt.types import DEEPSEEK_FIM, PackageFormat, PromptFormat
from tests.unit.prompt.reading import WEATHER, assistant, chat_body, prompt_of, result, system, user
from tests.unit.prompt.speaking import speaker_of
from tests.unit.prompt.templates import CHATML

SPECIALS = ScriptedVocabulary().special_tokens
CHATTING = [name for name in PromptFormat if name is not PromptFormat.COMPLETION]


def test_the_names_that_may_be_set_are_the_families() -> None:
    assert set(get_args(FormatName)) == {name.value for name in PromptFormat}


def test_each_family_speaks_and_has_a_form_of_calls() -> None:
    for prompt_format in PromptFormat:
        speaker = speaker_of(prompt_format)
        assert speaker.prompt_format is prompt_format
        assert isinstance(speaker, PackageFormat) or speaker.call_syntax in {*CALL_SYNTAXES, "deepseek-v3.2"}


@pytest.mark.parametrize("prompt_format", CHATTING)
@pytest.mark.parametrize("thinking", [True, False])
def test_a_conversation_with_everything_encodes_and_hostile_texts_add_no_token(
    prompt_format: PromptFormat, thinking: bool
) -> None:
    vocabulary = ScriptedVocabulary()

    def specials(text: str) -> list[int]:
        messages = [
            system(text),
            user(text),
            assistant(text, ("get_weather", f'{{"city": "{text}"}}'), reasoning_content=text),
            result(text),
            user(text),
        ]
        tools = [] if prompt_format is PromptFormat.V32_SPECIALE else [WEATHER]
        segments = chat_body(messages, tools=tools, thinking=thinking).render(speaker_of(prompt_format))
        token_ids = encode(segments, vocabulary)
        assert b"".join(map(vocabulary.token_bytes, token_ids)).decode() == prompt_of(segments)
        return [token_id for token_id in token_ids if token_id >= 256]

    assert specials("".join(SPECIALS)) == specials("x")


def test_the_facts_are_read_off_a_file() -> None:
    metadata = {
        "tokenizer.chat_template": CHATML,
        "tokenizer.ggml.bos_token_id": str(SPECIALS["<｜begin▁of▁sentence｜>"]),
        "tokenizer.ggml.eos_token_id": "99999",
        "tokenizer.ggml.add_bos_token": "true",
    }
    facts = facts_of(metadata, SPECIALS)
    assert (facts.bos, facts.eos, facts.adds_bos) == ("<｜begin▁of▁sentence｜>", None, True)
    assert not facts_of({**metadata, "tokenizer.ggml.add_bos_token": "false"}, SPECIALS).adds_bos
    del metadata["tokenizer.ggml.add_bos_token"]
    assert not facts_of(metadata, SPECIALS).adds_bos
    assert facts_of({**metadata, "tokenizer.ggml.model": "llama"}, SPECIALS).adds_bos
    assert not facts_of({}, SPECIALS).adds_bos


@pytest.mark.parametrize("prompt_format", [PromptFormat.TEMPLATE, PromptFormat.COMPLETION])
def test_other_models_begin_and_fill_in_as_their_vocabulary_says(prompt_format: PromptFormat) -> None:
    deepseek = chat_format(prompt_format, ModelFacts(template=CHATML, special_tokens=SPECIALS, bos="B", adds_bos=True))
    assert (deepseek.bos, deepseek.fim) == ("B", DEEPSEEK_FIM)
    qwen = {"<|fim_prefix|>": 1, "<|fim_middle|>": 2, "<|fim_suffix|>": 3}
    other = chat_format(prompt_format, ModelFacts(template=CHATML, special_tokens=qwen, bos="B"))
    assert other.bos is None
    assert other.fim is not None
    assert (other.fim.begin, other.fim.hole, other.fim.end) == ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    assert chat_format(prompt_format, ModelFacts(template=CHATML, special_tokens={})).fim is None


def test_a_template_that_cannot_be_used_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="has no chat template"):
        chat_format(PromptFormat.TEMPLATE, ModelFacts(template=None, special_tokens={}))
    for template in ("{% if %}", "{{ raise_exception('never') }}"):
        with pytest.raises(ConfigError, match="chat template"):
            chat_format(PromptFormat.TEMPLATE, ModelFacts(template=template, special_tokens={}))
