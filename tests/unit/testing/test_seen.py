"""A request as it came: its conversation by every protocol, and what is no conversation at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seekd.testing.seen import SeenRequest


def seen(body: Any, path: str = "/v1/chat/completions") -> SeenRequest:
    return SeenRequest(path=path, headers={}, raw=json.dumps(body).encode())


CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CHAT = {
    "tools": [{"type": "function", "function": {"name": "get_weather"}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
    ],
}
MESSAGES = {
    "system": "Be brief.",
    "tools": [{"name": "get_weather"}],
    "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "Sunny"}]},
    ],
}
RESPONSES = {
    "instructions": "Be brief.",
    "tools": [{"type": "function", "name": "get_weather"}],
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "Sunny"},
    ],
}


@pytest.mark.parametrize("body", [CHAT, MESSAGES, RESPONSES], ids=["chat", "messages", "responses"])
def test_a_conversation_reads_the_same_by_every_protocol(body: dict[str, Any]) -> None:
    request = seen(body)
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "Be brief."),
        ("user", "Weather?"),
        ("assistant", ""),
        ("tool", "Sunny"),
    ]
    assert (request.role, request.text) == ("tool", "Sunny")
    assert request.tool_names == ("get_weather",)
    assert request.tool_result == "get_weather"


def test_plain_prompts_are_conversations_too() -> None:
    assert seen({"prompt": "def f"}).text == "def f"
    assert seen({"input": "Hello"}).text == "Hello"


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b"\xff", b'{"messages": 1, "tools": 2}', b'{"messages": [1, {}]}'])
def test_what_is_no_conversation_is_empty_instead_of_an_error(raw: bytes) -> None:
    request = SeenRequest(path="/v1/chat/completions", headers={}, raw=raw)
    assert request.text == ""
    assert request.tool_result is None
    assert not request.tool_names
    assert not request.is_stream
