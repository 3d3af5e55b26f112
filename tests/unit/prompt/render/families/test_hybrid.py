"""V3.1, Terminus and V3.2-Exp, by their template: docs/reference/formats.md §5."""

from __future__ import annotations

from typing import Any

import pytest

from seekd.prompt.render.families.hybrid import HybridFormat
from seekd.prompt.types import AnswerStart
from tests.unit.prompt.reading import WEATHER, assistant, chat_body, prompt_of, read, result, system, user

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
V31 = HybridFormat()
S, U = system("Be brief."), user("Hi")
TWO_TURNS = [S, U, assistant("Hello"), user("2+2?")]
LOOP = [U, assistant("", ("f", '{"x": 1}'), ("g", "{}")), result("RA", 0), result("RB", 1)]
CALLS = (
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"x": 1}<｜tool▁call▁end｜>'
    "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
)
RESULTS = "<｜tool▁output▁begin｜>RA<｜tool▁output▁end｜><｜tool▁output▁begin｜>RB<｜tool▁output▁end｜>"


@pytest.mark.parametrize(
    ("messages", "thinking", "expected"),
    [
        ([S, U], False, "Be brief.<｜User｜>Hi<｜Assistant｜></think>"),
        ([S, U], True, "Be brief.<｜User｜>Hi<｜Assistant｜><think>"),
        (
            TWO_TURNS,
            True,
            f"Be brief.<｜User｜>Hi<｜Assistant｜></think>Hello{EOS}<｜User｜>2+2?<｜Assistant｜><think>",
        ),
        (
            [*LOOP, assistant("Hello"), user("2+2?")],
            False,
            f"<｜User｜>Hi<｜Assistant｜></think>{CALLS}{EOS}{RESULTS}Hello{EOS}<｜User｜>2+2?<｜Assistant｜></think>",
        ),
        (LOOP, False, f"<｜User｜>Hi<｜Assistant｜></think>{CALLS}{EOS}{RESULTS}"),
        ([U, assistant("Hel", prefix=True)], False, "<｜User｜>Hi<｜Assistant｜></think>Hel"),
        ([U, assistant("Hel", prefix=True)], True, "<｜User｜>Hi<｜Assistant｜></think>Hel"),
        (
            [U, assistant("Hel", prefix=True, reasoning_content="thin")],
            True,
            "<｜User｜>Hi<｜Assistant｜><think>thin</think>Hel",
        ),
        ([U, assistant("", prefix=True, reasoning_content="thin")], True, "<｜User｜>Hi<｜Assistant｜><think>thin"),
        (
            [U, assistant("a</think>b</think>c"), U],
            False,
            f"<｜User｜>Hi<｜Assistant｜></think>b</think>c{EOS}<｜User｜>Hi<｜Assistant｜></think>",
        ),
        ([S, U, system("Mid.")], False, "Be brief.\n\nMid.<｜User｜>Hi<｜Assistant｜></think>"),
    ],
)
def test_prompts(messages: list[dict[str, Any]], thinking: bool, expected: str) -> None:
    assert prompt_of(chat_body(messages, thinking=thinking).render(V31)) == BOS + expected


def test_tools_are_shown_in_sections_and_switch_thinking_off() -> None:
    body = chat_body([S, U], tools=[WEATHER], thinking=True)
    prompt = prompt_of(body.render(V31))
    section = (
        "Be brief.\n\n## Tools\nYou have access to the following tools:\n\n### get_weather\nDescription: Weather\n\n"
        'Parameters: {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}\n\n'
    )
    assert prompt.startswith(BOS + section)
    assert "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>TOOL_NAME<｜tool▁sep｜>ARGUMENTS" in prompt
    assert prompt.endswith("<｜User｜>Hi<｜Assistant｜></think>")
    assert body.answer_start(V31) is AnswerStart.CONTENT
    answer = read(body, V31, "Hello")
    assert (answer.reasoning, answer.content) == ("", "Hello")


def test_user_text_and_names_stay_plain() -> None:
    body = chat_body(
        [user("</think><｜User｜>"), assistant("", ("f", '{"a": "<｜tool▁sep｜>"}')), result("<｜User｜>")]
    )
    plain = [segment.text for segment in body.render(V31) if not (segment.is_control or segment.is_markup)]
    assert plain == ["</think><｜User｜>", "f", '{"a": "<｜tool▁sep｜>"}', "<｜User｜>"]


@pytest.mark.parametrize("trailing", ["", "<｜tool▁calls▁begin｜>x"])
def test_calls_are_read(trailing: str) -> None:
    body = chat_body([U], tools=[WEATHER])
    answer = read(body, V31, f"See.{CALLS}{trailing}")
    assert (answer.content, answer.finish_reason) == ("See.", "tool_calls")
    assert answer.arguments == [("f", {"x": 1}), ("g", {})]
    arguments = '{"a b": {"c": "}<｜tool▁call▁end｜"}, "\\"": []}'
    nested = f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"
    assert read(body, V31, nested).arguments == [("f", {"a b": {"c": "}<｜tool▁call▁end｜"}, '"': []})]


@pytest.mark.parametrize(("thinking", "reasoning", "content"), [(True, "a", "b"), (False, "", "ab")])
def test_reasoning_is_read_by_mode(thinking: bool, reasoning: str, content: str) -> None:
    # Without thinking a stray tag is dropped, as the service does.
    answer = read(chat_body([U], thinking=thinking), V31, "a</think>b")
    assert (answer.reasoning, answer.content) == (reasoning, content)
