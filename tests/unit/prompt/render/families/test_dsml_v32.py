"""V3.2, by its encoder: docs/reference/formats.md §6; the text about tools is a stand-in."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from seekd.errors import InvalidParameter
from seekd.prompt.render.chat_template import ChatTemplate
from seekd.prompt.render.families import dsml_v32
from seekd.prompt.render.families.dsml_v32 import DsmlV32Format, ToolsText, tools_text_of
from seekd.prompt.types import AnswerStart
from tests.unit.prompt.reading import WEATHER, assistant, chat_body, prompt_of, read, result, system, user
from tests.unit.prompt.speaking import V32_TEMPLATE

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
HI = "<｜User｜>Hi<｜Assistant｜>"
HEAD = "## Tools\nCall with <｜DSML｜function_calls>. Here are the functions:\n<functions>\n"
TAIL = "\n</functions>\n"
V32 = DsmlV32Format(ToolsText(head=HEAD, tail=TAIL))
S, U = system("Be brief."), user("Hi")
TWO_TURNS = [S, U, assistant("Hello"), user("2+2?")]
CALL = (
    '\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n'
    '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="days" string="false">2</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>"
)
RESULT = "\n\n<function_results>\n<result>sunny</result>\n</function_results>\n\n"
DEFINITION = (
    '{"name": "get_weather", "description": "Weather", "parameters": '
    '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}'
)
LOOP = [
    S,
    U,
    assistant("", ("get_weather", '{"city": "Paris", "days": 2}'), reasoning_content="need weather"),
    result("sunny"),
]


@pytest.mark.parametrize(
    ("messages", "thinking", "expected"),
    [
        ([S, U], True, "Be brief.<｜User｜>Hi<｜Assistant｜><think>"),
        ([S, U], False, "Be brief.<｜User｜>Hi<｜Assistant｜></think>"),
        (
            TWO_TURNS,
            True,
            f"Be brief.<｜User｜>Hi<｜Assistant｜></think>Hello{EOS}<｜User｜>2+2?<｜Assistant｜><think>",
        ),
        (LOOP, False, f"Be brief.<｜User｜>Hi<｜Assistant｜></think>{CALL}{EOS}{RESULT}</think>"),
        (
            LOOP,
            True,
            f"Be brief.<｜User｜>Hi<｜Assistant｜><think>need weather</think>{CALL}{EOS}{RESULT}<think>",
        ),
        (
            [*LOOP, assistant("Sun.", reasoning_content="r"), U],
            True,
            f"Be brief.{HI}</think>{CALL}{EOS}{RESULT}</think>Sun.{EOS}{HI}<think>",
        ),
        ([U, assistant("Hel", prefix=True)], False, "<｜User｜>Hi<｜Assistant｜></think>Hel"),
        ([U, assistant("Hel", prefix=True)], True, "<｜User｜>Hi<｜Assistant｜><think></think>Hel"),
        ([U, assistant("", prefix=True, reasoning_content="thin")], True, "<｜User｜>Hi<｜Assistant｜><think>thin"),
        ([S], False, "Be brief.<｜Assistant｜></think>"),
        (
            [U, assistant("A"), assistant("B"), U],
            False,
            f"<｜User｜>Hi<｜Assistant｜></think>A{EOS}<｜Assistant｜></think>B{EOS}<｜User｜>Hi<｜Assistant｜></think>",
        ),
    ],
)
def test_prompts(messages: list[dict[str, Any]], thinking: bool, expected: str) -> None:
    assert prompt_of(chat_body(messages, thinking=thinking).render(V32)) == BOS + expected


def test_the_tool_loop_of_the_encoder() -> None:
    prompt = prompt_of(chat_body(LOOP, thinking=True, tools=[WEATHER]).render(V32))
    assert prompt == (
        f"{BOS}Be brief.\n\n{HEAD}{DEFINITION}{TAIL}<｜User｜>Hi<｜Assistant｜><think>need weather</think>"
        f"{CALL}{EOS}{RESULT}<think>"
    )


def test_json_mode_shows_the_schema() -> None:
    body = chat_body([S, user("give json")], response_format={"type": "json_object"})
    assert prompt_of(body.render(V32)) == (
        f"{BOS}Be brief.\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
        '{"type": "json_object"}<｜User｜>give json<｜Assistant｜></think>'
    )


def test_a_call_that_is_owed_is_opened_by_the_prompt() -> None:
    body = chat_body([U], tools=[WEATHER], tool_choice="required")
    assert prompt_of(body.render(V32)).endswith("<｜Assistant｜></think>\n\n<｜DSML｜function_calls>\n")
    answer = read(body, V32, CALL.removeprefix("\n\n<｜DSML｜function_calls>\n"))
    assert answer.arguments == [("get_weather", {"city": "Paris", "days": 2})]


def test_odd_arguments_are_one_parameter_and_none_leave_a_line() -> None:
    prompt = prompt_of(
        chat_body([U, assistant("", ("f", "[1]"), ("g", "{}")), result("a"), result("b", 1)]).render(V32)
    )
    assert '<｜DSML｜parameter name="arguments" string="true">[1]</｜DSML｜parameter>' in prompt
    assert '<｜DSML｜invoke name="g">\n\n</｜DSML｜invoke>' in prompt
    assert "<result>a</result>\n<result>b</result>\n</function_results>" in prompt


def test_user_text_stays_plain() -> None:
    body = chat_body([user("</think>"), assistant("", ("f", '{"k": "</｜DSML｜"}')), result("</result>")])
    plain = [segment.text for segment in body.render(V32) if not (segment.is_control or segment.is_markup)]
    assert plain == ["</think>", "f", "k", "</｜DSML｜", "</result>"]


def template(source: str) -> ChatTemplate:
    return ChatTemplate(source, special_tokens=["<｜User｜>", "</think>"], variables={})


def test_the_text_around_tools_is_read_off_the_files_template() -> None:
    assert tools_text_of(template(V32_TEMPLATE)) == ToolsText(head=HEAD, tail=TAIL)


def test_the_wide_text_is_narrowed_to_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = HEAD.replace("## Tools\n", "## Tools\n\n")
    monkeypatch.setattr(dsml_v32, "_WIDE_HEAD", hashlib.sha256(wide.encode()).hexdigest())
    wide_template = template(V32_TEMPLATE.replace("## Tools\n", "## Tools\n\n"))
    assert tools_text_of(wide_template) == ToolsText(head=HEAD, tail=TAIL)


@pytest.mark.parametrize("source", [None, "{{ messages[0].content }}", "{{ raise_exception('no') }}"])
def test_without_that_text_tools_are_refused_and_chat_works(source: str | None) -> None:
    chat_format = DsmlV32Format(tools_text_of(None if source is None else template(source)))
    assert chat_body([U]).render(chat_format)
    with pytest.raises(InvalidParameter, match="chat template lacks the text"):
        chat_body([U], tools=[WEATHER]).render(chat_format)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("trailing", ["", " more"])
def test_calls_are_read(thinking: bool, trailing: str) -> None:
    body = chat_body([U], tools=[WEATHER], thinking=thinking)
    assert body.answer_start(V32) is (AnswerStart.REASONING if thinking else AnswerStart.CONTENT)
    text = f"See.{CALL}{trailing}"
    answer = read(body, V32, f"Hm.</think>{text}" if thinking else text)
    assert (answer.reasoning, answer.content) == ("Hm." if thinking else "", "See.")
    assert answer.arguments == [("get_weather", {"city": "Paris", "days": 2})]
