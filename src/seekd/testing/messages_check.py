"""Judges event streams of the Messages format.

Imports the standard library, `stream_check` and `event_reader`. Public.

    message_start ─> block* ─> message_delta ─> message_stop        nothing follows, there is no [DONE]
    block:  content_block_start ─> content_block_delta* ─> content_block_stop, one index after the other
    ping:   once, right after the first content_block_start

Blocks come in the order thinking, text, tool_use. Source: docs/reference/wire.md §14.4 and §14.5.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from seekd.testing.event_reader import EventReader
from seekd.testing.stream_check import Json, StreamFault, demand

_BLOCK_ORDER: Mapping[str, int] = MappingProxyType({"thinking": 0, "text": 1, "tool_use": 2})
_DELTAS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "thinking": frozenset(("thinking_delta", "signature_delta")),
        "text": frozenset(("text_delta",)),
        "tool_use": frozenset(("input_json_delta",)),
    }
)
_INPUT_COUNTERS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_STOP_REASONS = frozenset(("end_turn", "max_tokens", "tool_use", "stop_sequence", "refusal"))


@dataclass(slots=True, kw_only=True)
class MessagesAnswer:
    """What a Messages stream said, put together.

    Attributes:
        tool_uses: `{"id", "name", "input"}` each; the input is text where the length limit cut it.
        error: the error object of a stream that failed.
    """

    message_id: str = ""
    thinking: str = ""
    text: str = ""
    tool_uses: list[Json] = field(default_factory=list)
    stop_reason: str | None = None
    usage: Json | None = None
    error: Json | None = None


def check_messages_stream(body: bytes) -> MessagesAnswer:
    """Judge a Messages stream that ended well.

    Raises:
        StreamFault: a rule is broken.
    """
    return _Reader().read_good(body)


def check_failed_messages_stream(body: bytes) -> MessagesAnswer:
    """Judge a Messages stream that failed after it had begun: good events, an `error` event, nothing after it.

    Raises:
        StreamFault: a rule is broken.
    """
    return _Reader().read_failed(body)


class _Reader(EventReader[MessagesAnswer]):
    def __init__(self) -> None:
        super().__init__(MessagesAnswer(), first="message_start")
        self._block: Json | None = None
        self._pieces: list[str] = []
        self._num_blocks = 0
        self._num_pings = 0

    def take(self, event: Json) -> None:
        kind = event["type"]
        match kind:
            case "message_start":
                self._start(event["message"])
            case "content_block_start":
                self._start_block(event)
            case "ping":
                self._num_pings += 1
                self.expect("content_block_delta", "content_block_stop")
            case "content_block_delta":
                self._take_delta(event)
            case "content_block_stop":
                self._stop_block(event)
            case "message_delta":
                self._finish(event)
            case "message_stop":
                self.expect_only()
            case "error":
                self.answer.error = event["error"]
                self.expect_only()

    def _start(self, message: Json) -> None:
        demand(message["type"] == "message" and message["role"] == "assistant", "message_start holds no message")
        demand(message["content"] == [] and message["stop_reason"] is None, "the message is not empty at its start")
        _demand_counters(message["usage"])
        demand(message["usage"]["output_tokens"] == 0, "output was counted before the start")
        self.answer.message_id = message["id"]
        self.answer.usage = message["usage"]
        self.expect("content_block_start", "message_delta")

    def _start_block(self, event: Json) -> None:
        block = event["content_block"]
        demand(event["index"] == self._num_blocks, "a block's index does not follow the one before")
        demand(block["type"] in _BLOCK_ORDER, f"unknown block {block['type']!r}")
        before = _BLOCK_ORDER[self._block["type"]] if self._block else 0
        demand(_BLOCK_ORDER[block["type"]] >= before, f"a {block['type']} block comes too late")
        if block["type"] == "tool_use":
            demand(block["input"] == {}, "a tool_use block starts with input")
            ids = [other["id"] for other in self.answer.tool_uses]
            demand(block["id"] not in ids, "two calls have one id")
        self._block = block
        self._pieces = []
        if self._num_blocks == 0:
            self.expect("ping")
        else:
            self.expect("content_block_delta", "content_block_stop")
        self._num_blocks += 1

    def _take_delta(self, event: Json) -> None:
        assert self._block is not None
        demand(event["index"] == self._num_blocks - 1, "a delta is for a block that is not open")
        delta = event["delta"]
        demand(delta["type"] in _DELTAS[self._block["type"]], f"{delta['type']} in a {self._block['type']} block")
        if delta["type"] == "signature_delta":
            demand(delta["signature"] == self.answer.message_id, "the signature is not the message's id")
            self.expect("content_block_stop")
            return
        self._pieces.append(delta[{"thinking": "thinking", "text": "text"}.get(self._block["type"], "partial_json")])
        self.expect("content_block_delta", "content_block_stop")

    def _stop_block(self, event: Json) -> None:
        assert self._block is not None
        demand(event["index"] == self._num_blocks - 1, "a block is closed that is not open")
        text = "".join(self._pieces)
        match self._block["type"]:
            case "thinking":
                self.answer.thinking += text
            case "text":
                self.answer.text += text
            case _:
                self.answer.tool_uses.append({"id": self._block["id"], "name": self._block["name"], "input": text})
        self.expect("content_block_start", "message_delta")

    def _finish(self, event: Json) -> None:
        reason = event["delta"]["stop_reason"]
        demand(reason in _STOP_REASONS, f"unknown stop_reason {reason!r}")
        demand((reason == "tool_use") <= bool(self.answer.tool_uses), "stopped for tools, but there is no call")
        demand(not (reason == "end_turn" and self.answer.tool_uses), "a call was made, but the turn ended")
        assert self.answer.usage is not None
        usage = event["usage"]
        _demand_counters(usage)
        for name in _INPUT_COUNTERS:
            demand(usage[name] == self.answer.usage[name], f"{name} changes within the stream")
        if reason != "max_tokens":
            for call in self.answer.tool_uses:
                call["input"] = _input(call["input"])
        self.answer.stop_reason = reason
        self.answer.usage = usage
        self.expect_only("message_stop")


def _demand_counters(usage: Json) -> None:
    # A client of DeepSeek's own takes a counter that is null for a malformed stream.
    for name in (*_INPUT_COUNTERS, "output_tokens"):
        demand(type(usage[name]) is int and usage[name] >= 0, f"{name} is no counter: {usage[name]!r}")


def _input(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError:
        raise StreamFault(f"a call's input is no JSON: {text!r}") from None
    demand(isinstance(value, dict), "a call's input is no object")
    return dict(value)
