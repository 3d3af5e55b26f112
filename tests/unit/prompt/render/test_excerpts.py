"""Parts of conversations in every family: what stays, where the note stands, and that prompts begin alike."""

from __future__ import annotations

from typing import Any

import pytest

from seekd.prompt.recipe import RecipeBody
from seekd.prompt.render.excerpts import Part
from seekd.prompt.types import AnswerStart, ChatFormat, PromptFormat, PromptUsage
from tests.formats import V4, V41
from tests.unit.prompt.reading import IDENTITY, WEATHER, assistant, chat_body, prompt_of, result, system, user
from tests.unit.prompt.speaking import speaker_of

FAMILIES = [
    V41,
    V4,
    *(speaker_of(name) for name in PromptFormat if name not in ("deepseek-v4.1", "deepseek-v4", "completion")),
]
each_family = pytest.mark.parametrize("family", FAMILIES, ids=[family.prompt_format for family in FAMILIES])

MESSAGES = [
    system("Be brief."),
    user("first question"),
    assistant("", ("get_weather", '{"city": "Bonn"}'), reasoning_content="first thought"),
    result("sunny"),
    assistant("first answer"),
    user("second question"),
    assistant("second answer"),
    user("third question"),
]


def _body(*, thinking: bool, **fields: Any) -> RecipeBody:
    return chat_body(MESSAGES, thinking=thinking, **{"tools": [WEATHER], **fields})


def _tools_for(family: ChatFormat) -> list[dict[str, Any]]:
    return [] if family.prompt_format is PromptFormat.V32_SPECIALE else [WEATHER]


@each_family
@pytest.mark.parametrize("thinking", [True, False])
def test_an_excerpt_keeps_the_systems_text_and_the_tools_and_begins_with_the_note(
    family: ChatFormat, thinking: bool
) -> None:
    tools = _tools_for(family)
    whole = _body(thinking=thinking, tools=tools)
    prompt = prompt_of(whole.excerpt(5, note="NOTE").render(family))
    head, found, rest = prompt.partition("NOTE\n\nsecond question")
    assert found
    assert "Be brief." in head
    assert ("get_weather" in head) == bool(tools)
    assert "first" not in prompt
    assert "sunny" not in prompt
    before = prompt_of(whole.render(family))
    assert rest == before.partition("second question")[2]
    # The whole conversation is still there.
    assert "first question" in prompt_of(whole.render(family))


@each_family
@pytest.mark.parametrize("thinking", [True, False])
def test_a_question_begins_as_the_conversation_does_and_its_answer_is_text(family: ChatFormat, thinking: bool) -> None:
    whole = _body(thinking=thinking, tools=_tools_for(family))
    asked = whole.question(Part(start=0, end=7), question="Sum it up.", lead="-")
    prompt = prompt_of(asked.render(family))
    assert prompt.startswith(prompt_of(whole.render(family)).partition("third question")[0])
    assert "Sum it up." in prompt
    assert prompt.endswith("-")
    assert asked.answer_start(family) is AnswerStart.CONTENT
    parser = asked.open_parser(IDENTITY, family)
    parser.ready(PromptUsage(num_prompt_tokens=1))
    parser.push_text(" Bonn is sunny", num_tokens=2)
    parser.finish(hit_length_limit=False)
    [choice] = parser.response()["choices"]
    assert choice["message"]["content"] == " Bonn is sunny"


def test_a_note_before_an_answer_is_a_users_message() -> None:
    asked = _body(thinking=False).question(Part(start=4, end=5, note="NOTE"), question="Sum it up.", lead="-")
    roles = [(message.role, message.content) for message in asked.conversation.messages]
    assert roles == [
        ("system", "Be brief."),
        ("user", "NOTE"),
        ("assistant", "first answer"),
        ("user", "Sum it up."),
        ("assistant", "-"),
    ]


def test_a_question_behind_a_users_message_joins_it() -> None:
    asked = _body(thinking=False).question(Part(start=5, end=6, note="NOTE"), question="Sum it up.", lead="-")
    assert asked.conversation.messages[-2].content == "NOTE\n\nsecond question\n\nSum it up."


@pytest.mark.parametrize(
    "asked_format",
    [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}],
)
def test_an_excerpt_answers_as_its_conversation_would_and_a_question_in_free_text(asked_format: dict[str, Any]) -> None:
    whole = chat_body([user("a json"), assistant("b"), user("c")], response_format=asked_format, stop=["END"])
    shorter = whole.excerpt(2)
    assert shorter.conversation.answer_format == whole.conversation.answer_format == asked_format["type"]
    assert shorter.conversation.answer_schema == whole.conversation.answer_schema
    assert shorter.stops
    asked = whole.question(Part(start=0, end=2), question="?", lead="-")
    assert asked.conversation.answer_format == "text"
    assert not asked.stops


def test_a_message_that_the_answer_goes_on_from_stays_one() -> None:
    whole = chat_body([user("a"), assistant("b"), user("c"), assistant("so", prefix=True)])
    assert whole.excerpt(2).conversation.prefix == whole.conversation.prefix is not None


@each_family
def test_other_parameters_change_nothing_of_the_prompt_but_the_tool(family: ChatFormat) -> None:
    tools = _tools_for(family)
    other = {"type": "object", "properties": {"place": {"type": "string", "minLength": 2}}}
    changed = [{**tool, "function": {**tool["function"], "parameters": other}} for tool in tools]
    whole = _body(thinking=False, tools=tools).with_parameters({"get_weather": other, "unknown": {}})
    assert prompt_of(whole.render(family)) == prompt_of(_body(thinking=False, tools=changed).render(family))
