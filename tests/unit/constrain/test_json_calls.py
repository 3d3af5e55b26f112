"""Calls with JSON arguments: what the grammar lets through, the family's own reader reads back."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from seekd.constrain.grammars import constraint_for
from seekd.errors import EngineError, InvalidParameter
from seekd.output_rule import OfferedTool, OutputRule
from seekd.prompt.call_syntax import CALL_SYNTAXES
from seekd.prompt.types import PromptFormat
from tests.unit.constrain.random_model import RandomModel
from tests.unit.constrain.test_tool_rule import check_calls, random_rule
from tests.unit.prompt.reading import WEATHER, chat_body, read_pieces, user
from tests.unit.prompt.speaking import speaker_of

SYNTAXES = ("fenced", "bare", "hermes")
FORMATS: Mapping[str, PromptFormat] = {
    "fenced": PromptFormat.V3,
    "bare": PromptFormat.V31,
    "hermes": PromptFormat.TEMPLATE,
}
CALLS = {
    "fenced": (
        "<｜tool▁calls▁begin｜>"
        '<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{"x": 1}\n```<｜tool▁call▁end｜>\n'
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "bare": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"x": 1}<｜tool▁call▁end｜>'
        "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "hermes": (
        '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>\n'
        '<tool_call>\n{"name": "g", "arguments": {}}\n</tool_call>'
    ),
}
TOOLS = (
    OfferedTool(name="f", parameters={"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}),
    OfferedTool(name="g"),
)


def accepts(random_model: RandomModel, grammar: str, text: str) -> bool:
    """Whether a whole answer may be this text."""
    matcher = random_model.matcher(grammar)
    try:
        for byte in text.encode():
            matcher.accept(byte)  # the mask of a forced text has its own encoding only
    except EngineError:
        return False
    return bool(matcher.allowed()[next(iter(random_model.vocabulary.end_token_ids))])


def rule(choice: str = "auto", *, max_calls: int | None = None) -> OutputRule:
    return OutputRule(kind="tools", tools=TOOLS, tool_choice=choice, max_calls=max_calls)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_form_of_the_family_is_what_passes(random_model: RandomModel, syntax: str) -> None:
    grammar = constraint_for(rule(), call_syntax=syntax, starts_in_reasoning=False).grammar
    call = CALLS[syntax]
    assert accepts(random_model, grammar, call)
    assert accepts(random_model, grammar, f"See.\n\n{call}")
    assert accepts(random_model, grammar, "Just text.")
    assert not accepts(random_model, grammar, call.replace('"x": 1', '"x": "1"'))
    assert not accepts(random_model, grammar, call.replace('"x": 1', '"x": 1, "further": 1'))
    assert not accepts(random_model, grammar, call.replace("f", "h", 1) if syntax == "bare" else call + "more")
    opener = CALL_SYNTAXES[syntax].opener
    assert not accepts(random_model, grammar, f"Text {opener} text.")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_call_that_is_owed_comes_after_the_reasoning(random_model: RandomModel, syntax: str) -> None:
    call = CALLS[syntax]
    owed = constraint_for(rule("required"), call_syntax=syntax, starts_in_reasoning=True).grammar
    assert accepts(random_model, owed, f"Hm.</think>\n\n{call}")
    assert not accepts(random_model, owed, "Hm.</think>text")
    free = constraint_for(rule("required"), call_syntax=syntax, starts_in_reasoning=False, may_reason=True).grammar
    assert accepts(random_model, free, f"<think>Hm.</think>{call}")
    assert accepts(random_model, free, call)
    assert not accepts(random_model, free, "text")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_number_of_calls_is_kept(random_model: RandomModel, syntax: str) -> None:
    one = constraint_for(rule(max_calls=1), call_syntax=syntax, starts_in_reasoning=False).grammar
    two = constraint_for(rule(max_calls=2), call_syntax=syntax, starts_in_reasoning=False).grammar
    assert not accepts(random_model, one, CALLS[syntax])
    assert accepts(random_model, two, CALLS[syntax])


def test_json_or_a_call(random_model: RandomModel) -> None:
    both = OutputRule(kind="tools", tools=TOOLS, json_or_tools=True)
    grammar = constraint_for(both, call_syntax="fenced", starts_in_reasoning=False).grammar
    assert accepts(random_model, grammar, '{"a": 1}')
    assert accepts(random_model, grammar, f"\n\n{CALLS['fenced']}")
    assert not accepts(random_model, grammar, "text")


def test_json_may_follow_reasoning_that_the_model_opens(random_model: RandomModel) -> None:
    json_rule = OutputRule(kind="json_object")
    grammar = constraint_for(json_rule, call_syntax="fenced", starts_in_reasoning=False, may_reason=True).grammar
    assert accepts(random_model, grammar, '<think>Hm.</think>{"a": 1}')
    assert accepts(random_model, grammar, '{"a": 1}')
    assert not accepts(random_model, grammar, "<think>Hm.</think>text")


def test_what_cannot_be_enforced_is_said_or_refused() -> None:
    odd: dict[str, object] = {"type": "object", "properties": {"x": {"type": "string", "pattern": "a(?=b)"}}}
    lenient = OutputRule(kind="tools", tools=(OfferedTool(name="f", parameters=odd),))
    assert constraint_for(lenient, call_syntax="bare", starts_in_reasoning=False).warnings
    strict = OutputRule(kind="tools", tools=(OfferedTool(name="f", parameters=odd, strict=True),))
    with pytest.raises(InvalidParameter, match="cannot be enforced"):
        constraint_for(strict, call_syntax="bare", starts_in_reasoning=False)
    named = OutputRule(kind="tools", tools=(OfferedTool(name="a b"),))
    with pytest.raises(InvalidParameter, match="tool name"):
        constraint_for(named, call_syntax="hermes", starts_in_reasoning=False)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_whatever_a_random_model_writes_is_text_and_calls_that_fit(random_model: RandomModel, syntax: str) -> None:
    num_calls = 0
    body = chat_body([user("x")], tools=[WEATHER])
    for seed in range(30):
        chance = random.Random(seed)
        drawn = random_rule(chance)
        compiled = constraint_for(drawn, call_syntax=syntax, starts_in_reasoning=False)
        text = random_model.write(compiled.grammar, seed=seed, closing=0.45, hostile=0.15, max_steps=300)
        if text is None:
            continue
        answer = read_pieces(body, speaker_of(FORMATS[syntax]), [text])
        check_calls(answer.arguments, drawn, compiled)
        num_calls += len(answer.calls)
    assert num_calls >= 1
