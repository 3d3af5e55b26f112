"""What the hosted API refuses or ignores is told in a sentence that helps; what it follows is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seekd.testing.seen import SeenRequest
from seekd.testing.strictness import complaints

HI = [{"role": "user", "content": "Hi"}]
GOOD: dict[str, Any] = {"model": "deepseek-flash", "messages": HI}
FUNCTION: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}


def told(body: object, path: str = "/v1/chat/completions") -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return "\n".join(complaints(SeenRequest(path=path, headers={}, raw=raw)))


@pytest.mark.parametrize(
    "body",
    [
        GOOD,
        {
            **GOOD,
            "temperature": 1,
            "top_p": 1,
            "frequency_penalty": 0,
            "max_tokens": 100,
            "seed": 1,
            "logit_bias": None,
        },
        {**GOOD, "thinking": {"type": "disabled"}, "temperature": 0, "tools": [TOOL], "tool_choice": "auto"},
        {"model": "deepseek-v4-pro", "messages": HI, "thinking": {"type": "disabled"}, "top_p": 0.5},
        {**GOOD, "stream": True, "stream_options": {"include_usage": True}, "user_id": "u"},
    ],
)
def test_a_request_that_the_service_follows_is_fine(body: dict[str, Any]) -> None:
    assert told(body) == ""


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"max_tokens": 393_217}, ["refuses", "valid range of max_tokens is [1, 393216]"]),
        ({"model": "gpt-4o"}, ["refuses", "supported API model names are", "gpt-4o"]),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}}, ["unavailable now"]),
        ({"messages": [{"role": "developer", "content": "Hi"}]}, ["refuses", "unknown variant `developer`"]),
        ({"n": 2}, ["refuses", "only n = 1"]),
        ({"max_completion_tokens": 5}, ["ignores 'max_completion_tokens'", "knows only max_tokens"]),
        ({"functions": [FUNCTION]}, ["ignores 'functions'", "knows only tools"]),
        ({"user": "u"}, ["ignores 'user'", "user_id"]),
        ({"temprature": 0}, ["ignores 'temprature'."]),
        ({"chat_template_kwargs": {"thinking": True}}, ["ignores 'chat_template_kwargs'", '{"type": "enabled"}']),
        ({"presence_penalty": 0.5}, ["'presence_penalty'", "does nothing"]),
        ({"temperature": 0.2}, ["While the model thinks", "temperature of 1"]),
        ({"top_p": 0.9, "thinking": {"type": "disabled"}}, ["follows 'top_p' only with deepseek-v4-pro"]),
        ({"model": "deepseek-chat"}, ["'deepseek-chat' is deprecated", '"disabled"']),
        ({"model": "deepseek-reasoner"}, ["'deepseek-reasoner' is deprecated", "deepseek-flash"]),
        (
            {"tools": [{"type": "function", "function": {**FUNCTION, "strict": True}}]},
            ["'strict' of the tool 'f'", "/beta"],
        ),
    ],
)
def test_each_mistake_has_one_sentence(members: dict[str, Any], words: list[str]) -> None:
    text = told({**GOOD, **members})
    assert all(word in text for word in words), text
    assert len(text.splitlines()) == 1, text


def test_reasoning_that_is_not_passed_back_is_told() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        *HI,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    body = {**GOOD, "messages": messages, "tools": [TOOL]}
    assert "`reasoning_content` in the thinking mode must be passed back" in told(body)
    messages[1]["reasoning_content"] = "Hm."
    assert told(body) == ""


def test_on_beta_strict_tools_are_enforced() -> None:
    parameters = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    strict = {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": True}}
    assert told({**GOOD, "tools": [strict]}, path="/beta/chat/completions") == ""


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/beta/completions", {"model": "deepseek-v4-pro", "prompt": "x", "best_of": 2}, "ignores 'best_of'"),
        ("/completions", {"model": "deepseek-v4-pro", "prompt": "x"}, "only available when using beta api"),
        ("/anthropic/v1/messages", {**GOOD, "max_tokens": 5, "top_k": 5}, "ignores 'top_k'"),
        ("/v1/responses", {"model": "deepseek-flash", "input": "x", "previous_response_id": "r"}, "whole conversation"),
    ],
)
def test_the_other_protocols_have_members_of_their_own(path: str, body: dict[str, Any], words: str) -> None:
    [sentence] = told(body, path=path).splitlines()
    assert words in sentence


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"messages": 1, "tools": [1, {"function": 2}]}'])
def test_what_is_no_request_is_refused_and_nothing_more(raw: bytes) -> None:
    assert told(raw).startswith("The hosted API refuses this: ")
