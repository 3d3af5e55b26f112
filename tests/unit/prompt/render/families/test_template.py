"""Other models, through their own templates; and models without one."""

from __future__ import annotations

from typing import Any

import pytest

from seekd.errors import InvalidParameter
from seekd.prompt.render.chat_template import ChatTemplate
from seekd.prompt.render.families.template import CompletionFormat, TemplateFormat
from seekd.prompt.types import AnswerStart, FimMarkers
from tests.unit.prompt.reading import WEATHER, assistant, chat_body, prompt_of, read, result, system, user
from tests.unit.prompt.templates import CHATML, HERMES_THINKING, NO_SYSTEM, OPENS_THINKING, SPECIAL_TOKENS


def template_format(source: str, *, bos: str | None = None, fim: FimMarkers | None = None) -> TemplateFormat:
    template = ChatTemplate(source, special_tokens=SPECIAL_TOKENS, variables={"bos_token": "<bos>"})
    return TemplateFormat(template, bos=bos, fim=fim)


S, U = system("Be brief."), user("Hi")
LOOP = [U, assistant("", ("get_weather", '{"city": "Paris"}')), result("sunny")]
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
PLAIN, HERMES, GEMMA, THINKER = map(template_format, (CHATML, HERMES_THINKING, NO_SYSTEM, OPENS_THINKING))


def prompt(chat_format: TemplateFormat, messages: list[dict[str, Any]], **fields: Any) -> str:
    return prompt_of(chat_body(messages, **fields).render(chat_format))


def test_chatml() -> None:
    assert prompt(PLAIN, [S, U, assistant("Hello"), user("2+2?")]) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompt(PLAIN, [U, assistant("Hel", prefix=True)]).endswith("<|im_start|>assistant\nHel")


def test_later_system_texts_go_to_the_front() -> None:
    assert prompt(PLAIN, [S, U, system("Mid.")]).startswith("<|im_start|>system\nBe brief.\n\nMid.<|im_end|>\n")


def test_a_template_without_a_system_role_has_it_in_the_first_user_text() -> None:
    assert prompt(GEMMA, [S, U]) == "<bos><start>user\nBe brief.\n\nHi<end>\n<start>model\n"
    assert prompt(GEMMA, [S]) == "<bos><start>user\nBe brief.<end>\n<start>model\n"


def test_a_refusal_of_the_template_is_the_callers_error() -> None:
    with pytest.raises(InvalidParameter, match="must alternate"):
        prompt(GEMMA, [U, U])


def test_bos_is_written_once_where_the_vocabulary_wants_it() -> None:
    assert prompt(template_format(NO_SYSTEM, bos="<bos>"), [U]).count("<bos>") == 1
    segments = chat_body([U]).render(template_format(CHATML, bos="<bos>"))
    assert (segments[0].text, segments[0].is_control) == ("<bos>", True)


def test_tools_go_through_a_template_that_knows_them() -> None:
    shown = prompt(HERMES, [S, *LOOP], tools=[WEATHER])
    assert shown.startswith(
        '<|im_start|>system\nBe brief.\n\n# Tools\n<tools>\n{"type": "function", "function": {"name": "get_weather"'
    )
    assert f"<|im_start|>assistant\n\n{CALL}<|im_end|>\n" in shown
    assert "<|im_start|>user\n<tool_response>\nsunny\n</tool_response><|im_end|>\n" in shown


@pytest.mark.parametrize("chat_format", [PLAIN, GEMMA], ids=["with system", "without"])
def test_tools_are_said_in_text_to_a_template_that_does_not(chat_format: TemplateFormat) -> None:
    shown = prompt(chat_format, [S, *LOOP, user("and?")], tools=[WEATHER])
    assert "# Tools\n\n" in shown
    assert '{"name": "get_weather", "description": "Weather"' in shown
    assert '<tool_call>\n{"name": "FUNCTION_NAME", "arguments"' in shown
    assert f"assistant\n{CALL}<" in shown
    assert "user\n<tool_response>\nsunny\n</tool_response>\n\nand?<" in shown


def test_json_mode_is_said_in_the_system_text() -> None:
    shown = prompt(PLAIN, [user("json")], response_format={"type": "json_object"})
    assert "system\n## Response Format\n\nReply with JSON object ONLY.<|im_end|>" in shown


@pytest.mark.parametrize(
    ("chat_format", "thinking", "start", "end"),
    [
        (PLAIN, True, AnswerStart.CONTENT, "assistant\n"),
        (THINKER, False, AnswerStart.REASONING, "assistant\n<think>\n"),
        (HERMES, True, AnswerStart.MAYBE_REASONING, "assistant\n"),
        (HERMES, False, AnswerStart.CONTENT, "assistant\n<think>\n\n</think>\n\n"),
    ],
)
def test_thinking_is_switched_where_the_template_can(
    chat_format: TemplateFormat, thinking: bool, start: AnswerStart, end: str
) -> None:
    body = chat_body([U], thinking=thinking)
    assert body.answer_start(chat_format) is start
    assert prompt_of(body.render(chat_format)).endswith(end)


@pytest.mark.parametrize(
    ("chat_format", "fields", "start", "end"),
    [
        (HERMES, {"reasoning_content": "t"}, AnswerStart.REASONING, "<think>\nt"),
        (HERMES, {"content": "c", "reasoning_content": "t"}, AnswerStart.CONTENT, "<think>\nt\n</think>\n\nc"),
        (HERMES, {"content": "c"}, AnswerStart.CONTENT, "assistant\nc"),
        (THINKER, {"content": "c"}, AnswerStart.CONTENT, "<think>\n\n</think>\n\nc"),
    ],
)
def test_prefixes_with_reasoning(
    chat_format: TemplateFormat, fields: dict[str, Any], start: AnswerStart, end: str
) -> None:
    body = chat_body([U, assistant("", prefix=True) | fields], thinking=True)
    assert body.answer_start(chat_format) is start
    assert prompt_of(body.render(chat_format)).endswith(end)


def test_reasoning_left_in_stored_text_is_cut_where_the_template_thinks() -> None:
    messages = [U, assistant("<think>x</think>Hello"), U]
    assert "x</think>" not in prompt(HERMES, messages)
    assert "<think>x</think>Hello" in prompt(PLAIN, messages)


@pytest.mark.parametrize("trailing", ["", "\n", "\nmore"])
@pytest.mark.parametrize("chat_format", [PLAIN, HERMES])
def test_calls_are_read(chat_format: TemplateFormat, trailing: str) -> None:
    second = '\n<tool_call>{"name":"now","arguments":{}}</tool_call>'
    answer = read(chat_body([U], tools=[WEATHER]), chat_format, f"See.\n{CALL}{second}{trailing}")
    assert (answer.content, answer.finish_reason) == ("See.", "tool_calls")
    assert answer.arguments == [("get_weather", {"city": "Paris"}), ("now", {})]


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ('{"arguments": {"city": "Rome"}, "name": "f"}', {"city": "Rome"}),
        ('{"name": "f"}', {}),
        ('{"name": "f", "arguments": null}', {}),
    ],
)
def test_calls_of_another_order_are_read(call: str, arguments: dict[str, Any]) -> None:
    answer = read(chat_body([U], tools=[WEATHER]), PLAIN, f"<tool_call>{call}</tool_call>")
    assert answer.arguments == [("f", arguments)]


def test_what_is_no_call_is_text() -> None:
    text = "<tool_call>no json</tool_call> more"
    answer = read(chat_body([U], tools=[WEATHER]), PLAIN, text)
    assert (answer.content, answer.calls) == (text, [])


def test_a_file_without_a_template_completes_and_says_so() -> None:
    markers = FimMarkers(begin="a", hole="b", end="c")
    chat_format = CompletionFormat(bos="<bos>", fim=markers)
    assert (chat_format.bos, chat_format.fim) == ("<bos>", markers)
    with pytest.raises(InvalidParameter, match="no chat template"):
        chat_body([U]).render(chat_format)
    assert chat_body([U]).answer_start(chat_format) is AnswerStart.CONTENT
