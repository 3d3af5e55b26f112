"""Judges event streams of the Responses format.

Imports the standard library, `stream_check` and `event_reader`. Public.

    response.created ─> response.in_progress ─> item* ─> response.completed | incomplete | failed
    item:   output_item.added ─> its parts ─> output_item.done, one output_index after the other
    part:   content_part.added ─> reasoning_text.delta* | output_text.delta* ─> .done ─> content_part.done
    call:   function_call_arguments.delta* ─> .done

`sequence_number` counts every event from 0; each `done` repeats what the deltas said, and the last event repeats what
the items said. Source: docs/reference/wire.md §15.3 and §15.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from seekd.testing.event_reader import EventReader
from seekd.testing.stream_check import Json, demand

_ENDS: Mapping[str, str] = MappingProxyType(
    {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
)
_TEXTS: Mapping[str, str] = MappingProxyType({"reasoning": "reasoning_text", "message": "output_text"})
_ARGUMENTS = "function_call_arguments"


@dataclass(slots=True, kw_only=True)
class ResponsesAnswer:
    """What a Responses stream said, put together.

    Attributes:
        function_calls: `{"call_id", "name", "arguments"}` each.
        status: of the last event; None for a stream that failed before it.
        error: the `error` event of a stream that failed.
    """

    reasoning: str = ""
    text: str = ""
    function_calls: list[Json] = field(default_factory=list)
    status: str | None = None
    usage: Json | None = None
    error: Json | None = None
    num_events: int = 0


def check_responses_stream(body: bytes) -> ResponsesAnswer:
    """Judge a Responses stream that ended well, complete or cut by a limit.

    Raises:
        StreamFault: a rule is broken.
    """
    answer = _Reader().read_good(body)
    demand(answer.status in ("completed", "incomplete"), f"the response is {answer.status}")
    return answer


def check_failed_responses_stream(body: bytes) -> ResponsesAnswer:
    """Judge a Responses stream that failed after it had begun: good events, an `error` event, nothing after it.

    Raises:
        StreamFault: a rule is broken.
    """
    return _Reader().read_failed(body)


class _Reader(EventReader[ResponsesAnswer]):
    def __init__(self) -> None:
        super().__init__(ResponsesAnswer(), first="response.created")
        self._response_id = ""
        self._items: list[Json] = []  # as their `done` events showed them
        self._item: Json = {}
        self._part_type = ""
        self._pieces: list[str] = []

    def take(self, event: Json) -> None:
        kind = event["type"]
        demand(event["sequence_number"] == self.answer.num_events, "sequence_number does not count the events")
        self.answer.num_events += 1
        if "output_index" in event:
            self._check_place(event)
        match kind:
            case "response.created" | "response.in_progress":
                self._open(event)
            case "response.output_item.added":
                self._add_item(event["item"])
            case "response.content_part.added":
                self._add_part(event["part"])
            case "response.content_part.done":
                demand(event["part"]["text"] == "".join(self._pieces), "the part is not the sum of its deltas")
                self.expect("response.output_item.done")
            case "response.output_item.done":
                self._end_item(event["item"])
            case "error":
                self.answer.error = event
                self.expect_only()
            case _ if kind in _ENDS:
                self._finish(kind, event["response"])
            case _ if kind.endswith(".delta"):
                self._pieces.append(event["delta"])
            case _:
                self._end_text(event)

    def _check_place(self, event: Json) -> None:
        demand(event["output_index"] == len(self._items), "an event is for an item that is not open")
        if "item_id" in event:
            demand(event["item_id"] == self._item["id"], "an event names another item than the open one")
        if "content_index" in event:
            demand(event["content_index"] == 0, "the content index is not 0")

    def _open(self, event: Json) -> None:
        response = event["response"]
        demand(response["status"] == "in_progress", "the response is not in progress at its start")
        demand(response["output"] == [] and response["usage"] is None, "the response is not empty at its start")
        if event["type"] == "response.created":
            self._response_id = response["id"]
            self.expect("response.in_progress")
        else:
            demand(response["id"] == self._response_id, "the response's id changes")
            self.expect("response.output_item.added", *_ENDS)

    def _add_item(self, item: Json) -> None:
        demand(item["id"] not in [other["id"] for other in self._items], "two items have one id")
        self._item = item
        self._pieces = []
        if item["type"] == "function_call":
            demand(item["arguments"] == "", "a call starts with arguments")
            self.expect(f"response.{_ARGUMENTS}.delta", f"response.{_ARGUMENTS}.done")
        else:
            demand(item["type"] in _TEXTS, f"unknown item {item['type']!r}")
            demand(item["content"] == [], "an item starts with content")
            self.expect("response.content_part.added")

    def _add_part(self, part: Json) -> None:
        self._part_type = _TEXTS[self._item["type"]]
        demand(part["type"] == self._part_type, f"a {part['type']} part in a {self._item['type']} item")
        demand(part["text"] == "", "a part starts with text")
        self.expect(f"response.{self._part_type}.delta", f"response.{self._part_type}.done")

    def _end_text(self, event: Json) -> None:
        is_call = self._item["type"] == "function_call"
        said = event["arguments" if is_call else "text"]
        demand(said == "".join(self._pieces), "what is done is not the sum of its deltas")
        self.expect("response.output_item.done" if is_call else "response.content_part.done")

    def _end_item(self, item: Json) -> None:
        demand((item["id"], item["type"]) == (self._item["id"], self._item["type"]), "another item ends than began")
        said = "".join(self._pieces)
        if item["type"] == "function_call":
            demand(item["arguments"] == said, "the call is not the sum of its deltas")
            self.answer.function_calls.append({key: item[key] for key in ("call_id", "name", "arguments")})
        else:
            demand([part["text"] for part in item["content"]] == [said], "the item is not the sum of its deltas")
            if item["type"] == "reasoning":
                self.answer.reasoning += said
            else:
                self.answer.text += said
        self._items.append(item)
        self.expect("response.output_item.added", *_ENDS)

    def _finish(self, kind: str, response: Json) -> None:
        demand(response["status"] == _ENDS[kind], f"{kind} carries a response that is {response['status']}")
        demand(response["id"] == self._response_id, "the response's id changes")
        demand(response["output"] == self._items, "the response's output is not what the items said")
        if response["status"] != "failed":
            _check_usage(response["usage"])
        self.answer.status = response["status"]
        self.answer.usage = response["usage"]
        self.expect_only()


def _check_usage(usage: Json) -> None:
    given, made = usage["input_tokens"], usage["output_tokens"]
    demand(usage["total_tokens"] == given + made, "total_tokens is not the sum")
    demand(0 <= usage["input_tokens_details"]["cached_tokens"] <= given, "cached_tokens is out of range")
    demand(0 <= usage["output_tokens_details"]["reasoning_tokens"] <= made, "reasoning_tokens is out of range")
