"""A request as it came over HTTP, before anything judged it, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
"""An object off the wire: whatever the client sent."""

ANSWERED_PATHS = ("/chat/completions", "/completions", "/messages", "/responses")
"""Ends of the paths that a model answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMessage:
    """One message of a conversation, whatever protocol it came by; `text` joins its text parts."""

    role: str
    text: str


@dataclass(slots=True, kw_only=True)
class SeenRequest:
    """One request of the program under test.

    Attributes:
        path: without the query.
        headers: names in lower case.
        raw: the body's bytes.
        body: the body as JSON; empty where it is no JSON object.
        status: of the answer; None before it has begun, and where the connection was cut before.
        answer: the bytes that were sent, without the fault's damage to them where one was played.
        rule: number of the rule that answered, from 0; None where none did.
        fault: name of the fault that was played; None without one.
    """

    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: Json = field(init=False)
    status: int | None = None
    answer: bytes = b""
    rule: int | None = None
    fault: str | None = None

    def __post_init__(self) -> None:
        try:
            decoded = json.loads(self.raw)
        except ValueError:
            decoded = None
        self.body = decoded if isinstance(decoded, dict) else {}

    @property
    def is_stream(self) -> bool:
        """Whether events were asked for."""
        return self.body.get("stream") is True

    @property
    def is_chat(self) -> bool:
        """Whether it came by Chat Completions."""
        return self.path.endswith("/chat/completions")

    @property
    def messages(self) -> Sequence[SeenMessage]:
        """The conversation, the system prompt first."""
        return tuple(_messages(self.body))

    @property
    def text(self) -> str:
        """Of the last message."""
        messages = self.messages
        return messages[-1].text if messages else ""

    @property
    def role(self) -> str:
        """Of the last message; empty where there is none."""
        messages = self.messages
        return messages[-1].role if messages else ""

    @property
    def tool_names(self) -> Sequence[str]:
        """The tools that the model was offered."""
        tools = self.body.get("tools")
        offered = [_tool_name(tool) for tool in tools] if isinstance(tools, list) else []
        return tuple(name for name in offered if name)

    @property
    def tool_result(self) -> str | None:
        """Name of the tool whose result the last message is; None where it is none, or nobody called that tool."""
        last = next(reversed(_items(self.body)), None)
        if last is None:
            return None
        call_id = last.get("tool_call_id") or last.get("call_id") or _result_id(last)
        return _call_names(self.body).get(call_id) if isinstance(call_id, str) else None


def _messages(body: Json) -> Iterator[SeenMessage]:
    for name in ("system", "instructions"):
        if text := _text(body.get(name)):
            yield SeenMessage(role="system", text=text)
    if isinstance(prompt := body.get("prompt"), str):
        yield SeenMessage(role="user", text=prompt)
    if isinstance(said := body.get("input"), str):
        yield SeenMessage(role="user", text=said)
    for item in _items(body):
        yield SeenMessage(role=_role(item), text=_text(item.get("content", item.get("output"))))


def _items(body: Json) -> list[Json]:
    items = body.get("messages", body.get("input"))
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _role(item: Json) -> str:
    if item.get("type") == "function_call_output" or _result_id(item) is not None:
        return "tool"
    role = item.get("role")
    return role if isinstance(role, str) else "assistant"


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _text(content.get("text", content.get("content")))
    return "".join(map(_text, content)) if isinstance(content, list) else ""


def _tool_name(tool: object) -> str | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    name = function.get("name") if isinstance(function, dict) else tool.get("name")
    return name if isinstance(name, str) else None


def _parts(item: Json) -> list[Json]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _result_id(item: Json) -> str | None:
    # Messages puts results of tools into parts of a user's message.
    return next((part.get("tool_use_id") for part in _parts(item) if part.get("type") == "tool_result"), None)


def _call_names(body: Json) -> dict[str, str]:
    names: dict[str, str] = {}
    for item in _items(body):
        calls = item.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and (name := _tool_name(call)):
                names[str(call.get("id"))] = name
        if item.get("type") == "function_call":
            names[str(item.get("call_id"))] = str(item.get("name"))
        for part in _parts(item):
            if part.get("type") == "tool_use":
                names[str(part.get("id"))] = str(part.get("name"))
    return names
