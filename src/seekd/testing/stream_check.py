"""Judges whole event streams: is what a server sent a stream that a client of the DeepSeek API may rely on?

Public: use it against any server that claims this wire.

    role ─> reasoning* ─> content* ─> calls* ─> finish (with usage) ─> [DONE]

Phases come in this order, each may be missing but role, finish and the end. Everything is read from the bytes, nothing
from seekd, so that seekd's own mistakes cannot hide here.
"""

from __future__ import annotations

import contextlib
import enum
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
"""A JSON object off the wire; its shape is what is being judged."""

_CONSTANT_KEYS = ("id", "object", "created", "model", "system_fingerprint")
_FINISH_REASONS = frozenset(
    ("stop", "length", "tool_calls", "content_filter", "insufficient_system_resource", "function_call")
)


class StreamFault(AssertionError):
    """The stream breaks a rule."""


class _Phase(enum.IntEnum):
    START = 0
    ROLE = 1
    REASONING = 2
    CONTENT = 3
    CALLS = 4
    FINISHED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SseEvent:
    """One event; comments are no events."""

    name: str | None
    data: str


@dataclass(slots=True, kw_only=True)
class ChatAnswer:
    """What a chat stream said, put together.

    Attributes:
        tool_calls: `{"id", "name", "arguments"}` each.
        function_call: `{"name", "arguments"}` of the legacy shape.
        error: the error object of a stream that failed.
    """

    content: str = ""
    reasoning: str = ""
    tool_calls: list[Json] = field(default_factory=list)
    function_call: Json | None = None
    finish_reason: str | None = None
    usage: Json | None = None
    error: Json | None = None
    chunks: list[Json] = field(default_factory=list)


def read_events(body: bytes) -> list[SseEvent]:
    """Cut a body into its events. Source: HTML Living Standard §9.2.6, as far as this wire uses it."""
    demand(body.endswith(b"\n\n") or not body, "the body does not end with a blank line")
    events: list[SseEvent] = []
    for block in body.decode().split("\n\n"):
        name: str | None = None
        data: list[str] = []
        for line in block.split("\n"):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data.append(line.removeprefix("data: "))
            else:
                demand(line == "" or line.startswith(":"), f"unknown line {line!r}")
        if data:
            events.append(SseEvent(name=name, data="\n".join(data)))
    return events


def read_named_events(body: bytes) -> list[Json]:
    """The data of a stream whose every event has a name, as Messages and Responses streams do.

    Raises:
        StreamFault: an event without a name, or with one that is not its data's type.
    """
    datas: list[Json] = []
    for event in read_events(body):
        demand(event.data != "[DONE]", "[DONE] belongs to Chat Completions only")
        demand(_is_compact(event.data), "the JSON is not compact")
        data = json.loads(event.data)
        demand(event.name == data["type"], f"an event named {event.name!r} is a {data['type']!r}")
        datas.append(data)
    return datas


def check_chat_stream(body: bytes) -> ChatAnswer:
    """Judge a Chat Completions stream that ended well.

    Raises:
        StreamFault: a rule is broken.
    """
    with judging():
        events = read_events(body)
        demand(bool(events) and events[-1].data == "[DONE]", "[DONE] is not the last event")
        answer = _read_chunks(events[:-1])
        demand(answer.error is None, "an error frame is followed by [DONE]")
        demand(answer.finish_reason is not None, "no chunk has a finish_reason")
        return answer


def check_failed_chat_stream(body: bytes) -> ChatAnswer:
    """Judge a Chat Completions stream that failed after it had begun: good chunks, an error frame, no `[DONE]`.

    Raises:
        StreamFault: a rule is broken.
    """
    with judging():
        answer = _read_chunks(read_events(body))
        demand(answer.error is not None, "no error frame")
        demand(answer.finish_reason is None, "a finished stream has an error frame")
        return answer


def check_usage(usage: Json) -> None:
    """Judge the arithmetic of a Chat Completions `usage` object."""
    prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
    hit, miss = usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]
    demand(usage["total_tokens"] == prompt + completion, "total_tokens is not the sum")
    demand(prompt == hit + miss, "prompt_tokens is not hit plus miss")
    demand(usage["prompt_tokens_details"]["cached_tokens"] == hit, "cached_tokens is not the hit count")
    details = usage.get("completion_tokens_details")
    if details is not None:
        demand(0 <= details["reasoning_tokens"] <= completion, "reasoning_tokens is out of range")
    demand(min(prompt, completion, hit, miss) >= 0, "a count is negative")


def _read_chunks(events: Sequence[SseEvent]) -> ChatAnswer:
    reader = _ChatReader()
    for event in events:
        demand(event.name is None, f"a chat event has the name {event.name!r}")
        demand(event.data != "[DONE]", "[DONE] comes before the end")
        data = json.loads(event.data)
        demand(_is_compact(event.data), "the JSON is not compact")
        reader.take(data)
    return reader.answer


def _is_compact(text: str) -> bool:
    # Without strings, compact JSON has no white space left; comparing with a second writer's text would judge how
    # numbers are spelled too.
    return not re.search(r"\s", re.sub(r'"(?:[^"\\]|\\.)*"', '""', text))


class _ChatReader:
    def __init__(self) -> None:
        self.answer = ChatAnswer()
        self._phase = _Phase.START
        self._has_usage_key: bool | None = None

    def take(self, data: Json) -> None:
        demand(self.answer.error is None, "a frame follows the error frame")
        if "error" in data:
            self.answer.error = data["error"]
            return
        demand(self._phase is not _Phase.FINISHED, "a chunk follows the finish chunk")
        self._take_head(data)
        (choice,) = data["choices"]
        demand(choice["index"] == 0, "the choice's index is not 0")
        if self._phase is _Phase.START:
            self._take_role(choice["delta"])
        if choice["finish_reason"] is not None:
            self._take_finish(data, choice)
        else:
            self._take_middle(data, choice["delta"])
        self.answer.chunks.append(data)

    def _take_head(self, data: Json) -> None:
        demand(data["object"] == "chat.completion.chunk", "a chunk is not a chat.completion.chunk")
        if self.answer.chunks:
            first = self.answer.chunks[0]
            for key in _CONSTANT_KEYS:
                demand(data.get(key) == first.get(key), f"{key} changes within the stream")

    def _take_role(self, delta: Json) -> None:
        demand(delta.get("role") == "assistant", "the first delta has no role")
        self._phase = _Phase.ROLE

    def _take_finish(self, data: Json, choice: Json) -> None:
        demand(choice["finish_reason"] in _FINISH_REASONS, f"unknown finish_reason {choice['finish_reason']!r}")
        demand(not choice["delta"].get("content"), "the finish chunk carries text")
        demand(isinstance(data.get("usage"), dict), "the finish chunk has no usage")
        check_usage(data["usage"])
        has_calls = bool(self.answer.tool_calls or self.answer.function_call)
        if choice["finish_reason"] in ("tool_calls", "function_call"):
            demand(has_calls, "finished for calls, but there is none")
        elif choice["finish_reason"] == "stop":
            demand(not has_calls, "a call was made, but the finish_reason is stop")
        self.answer.finish_reason = choice["finish_reason"]
        self.answer.usage = data["usage"]
        self._phase = _Phase.FINISHED

    def _take_middle(self, data: Json, delta: Json) -> None:
        has_usage_key = "usage" in data
        if self._has_usage_key is None:
            self._has_usage_key = has_usage_key
        demand(has_usage_key == self._has_usage_key, "the usage key comes and goes")
        demand(data.get("usage") is None, "usage comes before the end")
        content, reasoning = delta.get("content"), delta.get("reasoning_content")
        demand(not (content and reasoning), "one delta has both reasoning and content")
        if reasoning:
            self._advance(_Phase.REASONING)
            self.answer.reasoning += reasoning
        if content:
            self._advance(_Phase.CONTENT)
            self.answer.content += content
        if "tool_calls" in delta:
            self._advance(_Phase.CALLS)
            self._take_call(delta)
        if "function_call" in delta:
            self._advance(_Phase.CALLS)
            self._take_function(delta["function_call"])

    def _advance(self, phase: _Phase) -> None:
        demand(phase >= self._phase, f"{phase.name.lower()} comes after {self._phase.name.lower()}")
        self._phase = phase

    def _take_call(self, delta: Json) -> None:
        demand("content" not in delta, "a tool delta has a content key")
        (call,) = delta["tool_calls"]
        calls = self.answer.tool_calls
        if "id" in call:
            demand(call["index"] == len(calls), "a call's index does not follow the one before")
            demand(call["type"] == "function", "a call is not of type function")
            demand(call["id"] not in [other["id"] for other in calls], "two calls have one id")
            calls.append({"id": call["id"], "name": call["function"]["name"], "arguments": ""})
        else:
            demand(bool(calls) and call["index"] == len(calls) - 1, "arguments come for a call that is not the last")
            demand(set(call["function"]) == {"arguments"}, "a later piece of a call has more than arguments")
        calls[-1]["arguments"] += call["function"]["arguments"]

    def _take_function(self, call: Json) -> None:
        if self.answer.function_call is None:
            demand("name" in call, "the first piece of the call has no name")
            self.answer.function_call = {"name": call["name"], "arguments": ""}
        else:
            demand("name" not in call, "there are two calls in the legacy shape")
        self.answer.function_call["arguments"] += call["arguments"]


@contextlib.contextmanager
def judging() -> Iterator[None]:
    """Turn what a stream lacks (a key, a type, valid JSON) into the fault that it is."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise StreamFault(f"not of the wire's shape: {type(error).__name__}: {error}") from error


def demand(condition: bool, fault: str) -> None:  # noqa: FBT001  # reads as a sentence where it is called
    """Raise `StreamFault` unless the condition holds."""
    if not condition:
        raise StreamFault(fault)
