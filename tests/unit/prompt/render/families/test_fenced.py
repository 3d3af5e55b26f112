"""V2.5, V3, R1 and R1-0528, by the output of their templates: docs/reference/formats.md §4."""

from __future__ import annotations

from typing import Any

import pytest

from seekd.prompt.render.families.fenced import FencedFormat
from seekd.prompt.types import AnswerStart, PromptFormat
from tests.unit.prompt.reading import WEATHER, assistant, chat_body, prompt_of, read, read_pieces, result, system, user

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
V25, V3, R1, R1_0528 = map(FencedFormat, (PromptFormat.V25, PromptFormat.V3, PromptFormat.R1, PromptFormat.R1_0528))
S, U = system("Be brief."), user("Hi")
TWO_TURNS = [S, U, assistant("Hello"), user("2+2?")]
CALL = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
    '```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
SUNNY = "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>sunny<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
LOOP = [S, U, assistant("", ("get_weather", '{"city": "Paris"}')), result("sunny")]
TWO_CALLS = [U, assistant("Look.", ("f", "{}"), ("g", '{"x":1}')), result("B", 1), result("A", 0)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([S, U], "Be brief.<｜User｜>Hi<｜Assistant｜>"),
        (TWO_TURNS, f"Be brief.<｜User｜>Hi<｜Assistant｜>Hello{EOS}<｜User｜>2+2?<｜Assistant｜>"),
        (
            [S, U, assistant("Hello"), system("Mid."), user("2+2?")],
            f"Be brief.\n\nMid.<｜User｜>Hi<｜Assistant｜>Hello{EOS}<｜User｜>2+2?<｜Assistant｜>",
        ),
        (LOOP, f"Be brief.<｜User｜>Hi<｜Assistant｜>{CALL}{EOS}{SUNNY}"),
        (
            [*LOOP, assistant("Sun."), U],
            f"Be brief.<｜User｜>Hi<｜Assistant｜>{CALL}{EOS}{SUNNY}Sun.{EOS}<｜User｜>Hi<｜Assistant｜>",
        ),
        ([S, U, assistant("Hel", prefix=True)], "Be brief.<｜User｜>Hi<｜Assistant｜>Hel"),
        ([S], "Be brief.<｜Assistant｜>"),
        ([*LOOP, U], f"Be brief.<｜User｜>Hi<｜Assistant｜>{CALL}{EOS}{SUNNY}<｜User｜>Hi<｜Assistant｜>"),
    ],
    ids=["system", "two turns", "late system", "loop", "answered loop", "prefix", "system only", "user after results"],
)
@pytest.mark.parametrize("chat_format", [V3, V25], ids=["V3", "V2.5"])
def test_prompts_without_reasoning(messages: list[dict[str, Any]], expected: str, chat_format: FencedFormat) -> None:
    assert prompt_of(chat_body(messages).render(chat_format)) == BOS + expected


def test_results_follow_the_order_of_the_calls() -> None:
    calls = (
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜>\n"
        '<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{"x":1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    )
    results = (
        "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>A<｜tool▁output▁end｜>\n"
        "<｜tool▁output▁begin｜>B<｜tool▁output▁end｜><｜tool▁outputs▁end｜>"
    )
    prompt = prompt_of(chat_body(TWO_CALLS).render(V3))
    assert prompt == f"{BOS}<｜User｜>Hi<｜Assistant｜>Look.{calls}{EOS}{results}"


THOUGHT_TURNS = [S, U, assistant("<think>x</think>Hello"), user("2+2?")]


@pytest.mark.parametrize(
    ("chat_format", "messages", "expected"),
    [
        (R1, [S, U], "Be brief.<｜User｜>Hi<｜Assistant｜><think>\n"),
        (R1_0528, [S, U], "Be brief.<｜User｜>Hi<｜Assistant｜>"),
        (R1, THOUGHT_TURNS, f"Be brief.<｜User｜>Hi<｜Assistant｜>Hello{EOS}<｜User｜>2+2?<｜Assistant｜><think>\n"),
        (R1_0528, THOUGHT_TURNS, f"Be brief.<｜User｜>Hi<｜Assistant｜>Hello{EOS}<｜User｜>2+2?<｜Assistant｜>"),
        (R1, [S, system("Mid."), U], "Mid.<｜User｜>Hi<｜Assistant｜><think>\n"),
        (R1_0528, [S, system("Mid."), U], "Be brief.\n\nMid.<｜User｜>Hi<｜Assistant｜>"),
        (R1, LOOP, f"Be brief.<｜User｜>Hi<｜Assistant｜>{CALL}{EOS}{SUNNY}"),
        (R1, [U, assistant("Hel", prefix=True)], "<｜User｜>Hi<｜Assistant｜><think>\n\n</think>\n\nHel"),
        (
            R1,
            [U, assistant("", prefix=True, reasoning_content="thin")],
            "<｜User｜>Hi<｜Assistant｜><think>\nthin",
        ),
    ],
)
def test_prompts_of_the_reasoning_models(
    chat_format: FencedFormat, messages: list[dict[str, Any]], expected: str
) -> None:
    assert prompt_of(chat_body(messages, thinking=True).render(chat_format)) == BOS + expected


def test_stored_reasoning_is_never_sent_again() -> None:
    messages = [U, assistant("Hello", reasoning_content="because"), U]
    for chat_format in (V25, V3, R1, R1_0528):
        assert "because" not in prompt_of(chat_body(messages, thinking=True).render(chat_format))


def test_tools_are_shown_with_the_markup_of_a_call() -> None:
    body = chat_body([S, U], tools=[WEATHER])
    shown = prompt_of(body.render(V3))
    assert shown.startswith(f"{BOS}Be brief.\n\n# Tools")
    assert '{"name": "get_weather", "description": "Weather", "parameters": {"type": "object"' in shown
    assert "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>FUNCTION_NAME\n```json\n" in shown
    markdown = prompt_of(body.render(V25))
    assert "## Tools\n\n### Function\n\n" in markdown
    assert '- `get_weather`:\n```json\n{\n    "name": "get_weather",\n    "description": "Weather",' in markdown


def test_json_mode_has_the_makers_sentence() -> None:
    body = chat_body([S, user("give json")], response_format={"type": "json_object"})
    prompt = prompt_of(body.render(V25))
    assert prompt.startswith(f"{BOS}Be brief.\n\n## Response Format\n\nReply with JSON object ONLY.<｜User｜>give json")
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "title": "T"}}}
    assert '{"type": "object", "title": "T"}<｜User｜>' in prompt_of(
        chat_body([S, user("give json")], response_format=schema).render(V3)
    )


def test_user_text_is_plain_and_markers_are_control() -> None:
    segments = chat_body([user("<｜Assistant｜>"), *LOOP[2:3], result("<｜tool▁outputs▁end｜>")]).render(V3)
    plain = [segment.text for segment in segments if not (segment.is_control or segment.is_markup)]
    assert plain == ["<｜Assistant｜>", 'get_weather\n```json\n{"city": "Paris"}\n```', "<｜tool▁outputs▁end｜>"]


@pytest.mark.parametrize(
    ("chat_format", "messages", "start"),
    [
        (V3, [U], AnswerStart.CONTENT),
        (R1, [U], AnswerStart.REASONING),
        (R1_0528, [U], AnswerStart.MAYBE_REASONING),
        (R1, LOOP, AnswerStart.MAYBE_REASONING),
        (R1, [U, assistant("Hel", prefix=True)], AnswerStart.CONTENT),
        (R1, [U, assistant("", prefix=True, reasoning_content="t")], AnswerStart.REASONING),
    ],
)
def test_where_the_answer_begins(chat_format: FencedFormat, messages: list[dict[str, Any]], start: AnswerStart) -> None:
    assert chat_body(messages, thinking=True).answer_start(chat_format) is start


TWO = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n"
    '```json\n{"city": "Pa\\"}ris ```", "n": [1, {"a": null}] , "e": -1.5e3}\n```<｜tool▁call▁end｜>\n'
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
)
TWO_READ: list[tuple[str, Any]] = [
    ("get_weather", {"city": 'Pa"}ris ```', "n": [1, {"a": None}], "e": -1500.0}),
    ("now", {}),
]


@pytest.mark.parametrize("chat_format", [V25, V3], ids=["V2.5", "V3"])
@pytest.mark.parametrize("trailing", ["", "\n", " and more <｜tool▁calls▁begin｜>"])
def test_calls_are_read(chat_format: FencedFormat, trailing: str) -> None:
    answer = read(chat_body([U], tools=[WEATHER]), chat_format, f"Let me see.\n\n{TWO}{trailing}")
    assert (answer.content, answer.finish_reason) == ("Let me see.", "tool_calls")
    assert answer.arguments == TWO_READ


def test_the_end_of_the_group_may_be_missing() -> None:
    answer = read(chat_body([U], tools=[WEATHER]), V3, TWO.removesuffix("<｜tool▁calls▁end｜>"))
    assert answer.arguments == TWO_READ
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("Hm, 4.\n</think>\n\n4", "Hm, 4.", "4"),
        ("</think>4", "", "4"),
        ("endless", "endless", ""),
        ("a </thin b</think>c<think>", "a </thin b", "c<think>"),
        ("a\n\nb\n</think>c\n\n", "a\n\nb", "c\n\n"),
    ],
)
def test_reasoning_of_r1_ends_at_its_tag(text: str, reasoning: str, content: str) -> None:
    answer = read(chat_body([U], thinking=True), R1, text)
    assert (answer.reasoning, answer.content) == (reasoning, content)


@pytest.mark.parametrize(
    ("text", "reasoning", "content"),
    [
        ("<think>\nHm.\n</think>\n\n4", "Hm.", "4"),
        ("\n <think>Hm.</think>4", "Hm.", "4"),
        ("4 <think>", "", "4 <think>"),
        ("<thin air", "", "<thin air"),
        ("<thi", "", "<thi"),
        ("", "", ""),
    ],
)
@pytest.mark.parametrize("thinking", [True, False])
def test_r1_0528_opens_its_reasoning_itself_or_answers_at_once(
    text: str, reasoning: str, content: str, thinking: bool
) -> None:
    answer = read(chat_body([U], thinking=thinking), R1_0528, text)
    assert (answer.reasoning, answer.content) == (reasoning, content)


def test_r1_calls_after_its_reasoning_or_in_the_middle_of_it() -> None:
    body = chat_body([U], tools=[WEATHER])
    for text in (f"Hm.\n</think>\n\n{TWO}", f"Hm.{TWO}"):
        answer = read(body, R1, text)
        assert (answer.reasoning, answer.content) == ("Hm.", "")
        assert answer.arguments == TWO_READ


def test_without_tools_markup_is_text() -> None:
    answer = read(chat_body([U]), V3, CALL)
    assert (answer.content, answer.calls) == (CALL, [])


def test_dsml_is_text_for_models_that_do_not_call_in_it() -> None:
    text = '<｜DSML｜ calls>\n<｜DSML｜ invoke name="get_weather">\n</｜DSML｜ invoke>\n</｜DSML｜ calls>'
    answer = read(chat_body([U], tools=[WEATHER]), V3, text)
    assert (answer.content, answer.calls) == (text, [])


def test_what_is_asked_to_think_and_cannot_has_empty_reasoning() -> None:
    answer = read(chat_body([U], thinking=True), V3, "\n4</think>")
    assert (answer.reasoning, answer.content) == ("", "4")


@pytest.mark.parametrize("num_chars", range(len("<｜tool▁calls▁begin｜>"), len(TWO)))
def test_a_cut_answer_keeps_what_was_said_and_leaks_no_markup(num_chars: int) -> None:
    answer = read_pieces(chat_body([U], tools=[WEATHER]), V3, [TWO[:num_chars]], is_cut=True)
    assert "｜" not in answer.content
    assert answer.finish_reason == "length"
    assert [name for name, _ in answer.calls] in ([], ["get_weather"], ["get_weather", "now"])


def test_a_group_without_a_call_is_text() -> None:
    text = "<｜tool▁calls▁begin｜>nothing<｜tool▁calls▁end｜> more"
    assert read(chat_body([U], tools=[WEATHER]), V3, text).content == text
    unfinished = "<｜tool▁calls▁begin｜> no"
    assert read(chat_body([U], tools=[WEATHER]), V3, unfinished).content == unfinished


def test_stop_strings_act_on_content_only() -> None:
    answer = read(chat_body([U], tools=[WEATHER], stop=["ris"]), V3, TWO)
    assert answer.arguments == TWO_READ
    stopped = read(chat_body([U], thinking=True, stop=["END"]), R1, "an END</think>b END c")
    assert (stopped.reasoning, stopped.content, stopped.finish_reason) == ("an END", "b ", "stop")
