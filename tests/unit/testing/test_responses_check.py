from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from seekd.testing.responses_check import check_failed_responses_stream, check_responses_stream
from seekd.testing.stream_check import StreamFault

Events = list[dict[str, Any]]

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 14,
}
_TEXTS = {"reasoning": "reasoning_text", "message": "output_text"}


def _text_item(index: int, kind: str, text: str) -> tuple[dict[str, Any], Events]:
    item = {"type": kind, "id": f"i{index}", "status": "completed", "content": [{"type": _TEXTS[kind], "text": text}]}
    part = {"output_index": index, "item_id": f"i{index}", "content_index": 0}
    name = f"response.{_TEXTS[kind]}"
    return item, [
        {"type": "response.output_item.added", "output_index": index, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **part, "part": {"type": _TEXTS[kind], "text": ""}},
        {"type": f"{name}.delta", **part, "delta": text[:1]},
        {"type": f"{name}.delta", **part, "delta": text[1:]},
        {"type": f"{name}.done", **part, "text": text},
        {"type": "response.content_part.done", **part, "part": {"type": _TEXTS[kind], "text": text}},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _call_item(index: int) -> tuple[dict[str, Any], Events]:
    item = {"type": "function_call", "id": f"i{index}", "call_id": "c", "name": "f", "arguments": "{}"}
    place = {"output_index": index, "item_id": f"i{index}"}
    return item, [
        {"type": "response.output_item.added", "output_index": index, "item": {**item, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **place, "delta": "{}"},
        {"type": "response.function_call_arguments.done", **place, "arguments": "{}"},
        {"type": "response.output_item.done", "output_index": index, "item": item},
    ]


def _good() -> Events:
    start: dict[str, Any] = {"id": "r", "status": "in_progress", "output": [], "usage": None}
    items = [_text_item(0, "reasoning", "Hmm."), _text_item(1, "message", "Hi"), _call_item(2)]
    end = {"id": "r", "status": "completed", "output": [item for item, _ in items], "usage": USAGE}
    events = [
        {"type": "response.created", "response": start},
        {"type": "response.in_progress", "response": start},
        *(event for _, between in items for event in between),
        {"type": "response.completed", "response": end},
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    copied: Events = json.loads(json.dumps(numbered))
    return copied


def _body(events: Events) -> bytes:
    return "".join(
        f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n" for event in events
    ).encode()


def test_a_good_stream_is_put_together() -> None:
    answer = check_responses_stream(_body(_good()))
    assert (answer.reasoning, answer.text, answer.status) == ("Hmm.", "Hi", "completed")
    assert answer.function_calls == [{"call_id": "c", "name": "f", "arguments": "{}"}]
    assert answer.usage == USAGE


def test_a_failed_stream_ends_with_its_numbered_error() -> None:
    body = _body([*_good()[:5], {"type": "error", "message": "x", "sequence_number": 5}])
    error = check_failed_responses_stream(body).error
    assert error is not None
    assert error["message"] == "x"
    with pytest.raises(StreamFault, match="ends with an error"):
        check_responses_stream(body)
    with pytest.raises(StreamFault, match="no error event"):
        check_failed_responses_stream(_body(_good()))


def _set(index: int, *path: Any, to: object) -> Callable[[Events], Any]:
    def change(events: Events) -> None:
        target: Any = events[index]
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to

    return change


def _without(*indexes: int) -> Callable[[Events], Any]:
    def change(events: Events) -> None:
        for index in reversed(indexes):
            del events[index]
        for number, event in enumerate(events):
            event["sequence_number"] = number

    return change


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (_without(0), "response.created may come"),
        (_without(1), "response.in_progress may come"),
        (_without(3), "content_part.added may come"),
        (_without(6), "content_part.done comes where"),
        (_without(7), "output_item.done comes where"),
        (_without(8), "output_item.added comes where"),
        (_without(20), "ends where"),
        (_without(5), "sum of its deltas"),
        (_without(17), "sum of its deltas"),
        (_set(4, "sequence_number", to=9), "sequence_number"),
        (_set(4, "output_index", to=1), "not open"),
        (_set(4, "item_id", to="i9"), "another item"),
        (_set(4, "content_index", to=1), "content index"),
        (_set(3, "part", "type", to="output_text"), "output_text part in a reasoning item"),
        (_set(7, "part", "text", to="H"), "not the sum"),
        (_set(8, "item", "content", 0, "text", to="H"), "not the sum"),
        (_set(8, "item", "id", to="i9"), "another item ends"),
        (_set(19, "item", "arguments", to="{ }"), "not the sum"),
        (_set(9, "item", "id", to="i0"), "one id"),
        (_set(1, "response", "id", to="s"), "id changes"),
        (_set(20, "response", "id", to="s"), "id changes"),
        (_set(20, "response", "status", to="incomplete"), "carries a response"),
        (_set(20, "response", "output", to=[]), "not what the items said"),
        (_set(20, "response", "usage", "total_tokens", to=15), "total_tokens"),
        (_set(20, "response", "usage", "input_tokens_details", to={"cached_tokens": 11}), "cached_tokens"),
        (_set(20, "response", "usage", "output_tokens_details", to={"reasoning_tokens": 5}), "reasoning_tokens"),
        (_set(0, "response", "status", to="queued"), "not in progress"),
        (lambda events: events.append({**events[-1], "sequence_number": 21}), "where nothing"),
        (lambda events: events[2].pop("item"), "not of the wire's shape"),
    ],
)
def test_a_broken_stream_is_refused(break_it: Callable[[Events], Any], fault: str) -> None:
    events = _good()
    break_it(events)
    with pytest.raises(StreamFault, match=fault):
        check_responses_stream(_body(events))
