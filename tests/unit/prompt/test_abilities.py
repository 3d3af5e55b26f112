from __future__ import annotations

import re
from pathlib import Path

import pytest

from seekd.prompt.abilities import Abilities, Thinking, abilities_of
from seekd.prompt.render.chat_formats import ModelFacts, chat_format
from seekd.prompt.types import PromptFormat
from tests.unit.prompt.speaking import speaker_of
from tests.unit.prompt.templates import CHATML

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "formats.md"
THINKING = {
    "switch": Thinking.SWITCH,
    "switch, off with tools": Thinking.SWITCH,
    "always": Thinking.ALWAYS,
    "never": Thinking.NEVER,
    "as the model likes": Thinking.FREE,
}
ROWS = {
    cells[0].strip("`"): cells
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| `", line) and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 7
}


@pytest.mark.parametrize("prompt_format", [name for name in PromptFormat if name is not PromptFormat.TEMPLATE])
def test_a_family_can_do_what_the_page_of_formats_says(prompt_format: PromptFormat) -> None:
    _, _, _, thinking, tools, json_mode, fim = ROWS[prompt_format.value]
    assert abilities_of(speaker_of(prompt_format)) == Abilities(
        chat=json_mode == "enforced",
        thinking=THINKING[thinking],
        tools=tools not in ("refused", "no chat"),
        fim=fim in ("yes", "with its tokens"),  # the vocabulary of the tests has them
    )


def test_a_template_is_asked() -> None:
    plain = chat_format(PromptFormat.TEMPLATE, ModelFacts(template=CHATML, special_tokens={}))
    assert abilities_of(plain) == Abilities(chat=True, thinking=Thinking.NEVER, tools=True, fim=False)
    opening = "{{ '<think>' if enable_thinking else '<think></think>' }}"
    thinker = chat_format(PromptFormat.TEMPLATE, ModelFacts(template=CHATML + opening, special_tokens={}))
    assert abilities_of(thinker).thinking is Thinking.SWITCH


def test_people_read_words() -> None:
    assert abilities_of(speaker_of(PromptFormat.V3)).words() == "chat, tools, JSON, fill in the middle"
    nothing = Abilities(chat=False, thinking=Thinking.NEVER, tools=False, fim=False)
    assert nothing.words() == "completion"
