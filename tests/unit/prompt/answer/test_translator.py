"""The states of an answer; whole families are read in `families`."""

from __future__ import annotations

import random

import pytest

from seekd.prompt.answer.translator import AnswerTranslator
from seekd.prompt.call_syntax import CALL_SYNTAXES
from seekd.prompt.render.call_writer import MARK
from seekd.prompt.types import AnswerStart

PIECES = (
    "text ",
    "\n",
    "\n\n",
    "<think>",
    "</think>",
    "<",
    "</th",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>",
    "function<｜tool▁sep｜>f\n```json\n",
    "f<｜tool▁sep｜>",
    '{"a": [1, "}"], "b c": {}}',
    "{}",
    '{"a":',
    "\n```",
    "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>",
    "<tool_call>",
    '{"name": "f", "arguments": ',
    "}",
    "</tool_call>",
    MARK,
)


def translated(text: str, cuts: list[int], *, syntax: str | None, start: AnswerStart, is_cut: bool) -> str:
    calls = None if syntax is None else CALL_SYNTAXES[syntax]
    translator = AnswerTranslator(start=start, calls=calls, reader_thinks=start is not AnswerStart.CONTENT)
    parts = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return "".join(map(translator.push, parts)) + translator.flush(is_cut=is_cut)


@pytest.mark.parametrize("syntax", ["fenced", "bare", "hermes", None])
@pytest.mark.parametrize("start", list(AnswerStart))
def test_every_split_of_any_answer_reads_the_same(syntax: str | None, start: AnswerStart) -> None:
    for seed in range(150):
        chance = random.Random(seed)
        text = "".join(chance.choice(PIECES) for _ in range(chance.randint(0, 12)))
        is_cut = chance.random() < 0.3
        whole = translated(text, [], syntax=syntax, start=start, is_cut=is_cut)
        bytewise = translated(text, list(range(1, len(text))), syntax=syntax, start=start, is_cut=is_cut)
        cuts = sorted(chance.sample(range(1, len(text)), min(2, len(text) - 1))) if len(text) > 1 else []
        assert whole == bytewise == translated(text, cuts, syntax=syntax, start=start, is_cut=is_cut), repr(text)


def test_the_models_own_mark_is_replaced() -> None:
    text = translated(f"a{MARK}b", [], syntax=None, start=AnswerStart.CONTENT, is_cut=False)
    assert text == "a\ufffdb"


def test_it_says_what_is_reasoning() -> None:
    translator = AnswerTranslator(start=AnswerStart.MAYBE_REASONING, calls=None, reader_thinks=True)
    seen = []
    for piece in ("<th", "ink>", "a", "</think>", "b"):
        translator.push(piece)
        seen.append(translator.is_reasoning)
    assert seen == [False, True, True, False, False]
