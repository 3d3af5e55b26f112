"""V3.2-Speciale: V3.2's thinking vectors (docs/reference/formats.md §6), whatever the request says of thinking."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seekd.errors import InvalidParameter
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.prompt.render.families.speciale import SpecialeFormat
from seekd.prompt.types import AnswerStart, PromptUsage
from tests.unit.prompt.reading import IDENTITY, WEATHER, assistant, chat_body, prompt_of, read, result, system, user

EOS = "<｜end▁of▁sentence｜>"
FORMAT = "\n\n## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n"
CALL = (
    '\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="f">\n'
    '<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>\n</｜DSML｜invoke>\n'
    "</｜DSML｜function_calls>"
)
RESULT = "\n\n<function_results>\n<result>sunny</result>\n</function_results>\n\n"
S, U = system("Be brief."), user("Hi")
SPECIALE = SpecialeFormat()
either = pytest.mark.parametrize("thinking", [True, False])


@either
@pytest.mark.parametrize(
    ("messages", "fields", "expected"),
    [
        ([S, U], {}, "Be brief.<｜User｜>Hi<｜Assistant｜><think>"),
        (
            [S, U, assistant("Hello"), user("2+2?")],
            {},
            f"Be brief.<｜User｜>Hi<｜Assistant｜></think>Hello{EOS}<｜User｜>2+2?<｜Assistant｜><think>",
        ),
        (
            [user("give json")],
            {"response_format": {"type": "json_object"}},
            f'{FORMAT}{{"type": "json_object"}}<｜User｜>give json<｜Assistant｜><think>',
        ),
        (
            [U, assistant("", ("f", '{"city": "Paris"}')), result("sunny"), assistant("Sun."), user("Thanks")],
            {},
            f"<｜User｜>Hi<｜Assistant｜></think>{CALL}{EOS}{RESULT}</think>Sun.{EOS}<｜User｜>Thanks<｜Assistant｜><think>",
        ),
    ],
)
def test_vectors(messages: list[dict[str, Any]], fields: dict[str, Any], expected: str, thinking: bool) -> None:
    body = chat_body(messages, thinking=thinking, **fields)
    assert prompt_of(body.render(SPECIALE)) == f"<｜begin▁of▁sentence｜>{expected}"
    assert body.answer_start(SPECIALE) is AnswerStart.REASONING


@either
def test_a_message_that_the_answer_goes_on_from_has_reasoned_already(thinking: bool) -> None:
    body = chat_body([U, assistant("So", prefix=True)], thinking=thinking)
    assert prompt_of(body.render(SPECIALE)).endswith("<｜Assistant｜><think></think>So")
    assert body.answer_start(SPECIALE) is AnswerStart.CONTENT


def test_offered_tools_are_refused_and_tools_that_may_not_be_called_are_not_offered() -> None:
    with pytest.raises(InvalidParameter, match="does not call tools"):
        chat_body([U], tools=[WEATHER]).render(SPECIALE)
    assert chat_body([U], tools=[WEATHER], tool_choice="none").render(SPECIALE)


@either
def test_an_answer_has_its_reasoning(thinking: bool) -> None:
    answer = read(chat_body([U], thinking=thinking), SPECIALE, "Hm.</think>Hello")
    assert (answer.reasoning, answer.content) == ("Hm.", "Hello")


@pytest.mark.parametrize(
    ("protocol", "fields", "place"),
    [
        (WireProtocol.MESSAGES, {"messages": [U], "max_tokens": 9}, "content"),
        (WireProtocol.RESPONSES, {"input": "Hi"}, "output"),
    ],
)
def test_the_other_protocols_show_the_reasoning_in_their_own_way(
    protocol: WireProtocol, fields: dict[str, Any], place: str
) -> None:
    body = ReadBody(protocol, {"model": "m", **fields}).convert(
        models=("m",), thinking_by_default=False, requires_reasoning=False
    )
    parser = body.open_parser(IDENTITY, SPECIALE)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_text("Hm.</think>Hello", num_tokens=4)
    parser.finish(hit_length_limit=False)
    reasoning, answer = parser.response()[place]
    assert "Hm." in json.dumps(reasoning)
    assert "Hello" in json.dumps(answer)
