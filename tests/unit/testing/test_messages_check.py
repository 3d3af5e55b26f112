from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from seekd.testing.messages_check import check_failed_messages_stream, check_messages_stream
from seekd.testing.stream_check import StreamFault

Events = list[dict[str, Any]]

USAGE = {"input_tokens": 3, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 64, "output_tokens": 9}


def _start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def _good() -> Events:
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "usage": {**USAGE, "output_tokens": 0},
    }
    return [
        {"type": "message_start", "message": message},
        _start(0, type="thinking", thinking="", signature=""),
        {"type": "ping"},
        _delta(0, type="thinking_delta", thinking="Hmm."),
        _delta(0, type="signature_delta", signature="m"),
        _stop(0),
        _start(1, type="text", text=""),
        _delta(1, type="text_delta", text="Hi"),
        _stop(1),
        _start(2, type="tool_use", id="c", name="f", input={}),
        _delta(2, type="input_json_delta", partial_json='{"a":'),
        _delta(2, type="input_json_delta", partial_json=" 1}"),
        _stop(2),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": dict(USAGE)},
        {"type": "message_stop"},
    ]


def _body(events: Events) -> bytes:
    return "".join(
        f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n" for event in events
    ).encode()


def test_a_good_stream_is_put_together() -> None:
    answer = check_messages_stream(_body(_good()))
    assert (answer.thinking, answer.text, answer.stop_reason) == ("Hmm.", "Hi", "tool_use")
    assert answer.tool_uses == [{"id": "c", "name": "f", "input": {"a": 1}}]
    assert answer.usage == USAGE


def test_a_failed_stream_ends_with_its_error() -> None:
    body = _body([*_good()[:4], {"type": "error", "error": {"type": "t", "message": "x"}}])
    assert check_failed_messages_stream(body).error == {"type": "t", "message": "x"}
    with pytest.raises(StreamFault, match="ends with an error"):
        check_messages_stream(body)
    with pytest.raises(StreamFault, match="no error event"):
        check_failed_messages_stream(_body(_good()))


def test_a_call_that_the_limit_cut_may_be_no_json() -> None:
    events = _good()
    del events[11]
    events[-2]["delta"]["stop_reason"] = "max_tokens"
    assert check_messages_stream(_body(events)).tool_uses[0]["input"] == '{"a":'


def _set(index: int, *path: str, to: object) -> Callable[[Events], Any]:
    def change(events: Events) -> None:
        target = events[index]
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda events: events.pop(0), "message_start"),
        (lambda events: events.insert(0, events[0]), "message_start comes where"),
        (lambda events: events.pop(2), "ping may come"),
        (lambda events: events.insert(7, {"type": "ping"}), "ping comes where"),
        (lambda events: events.pop(5), "content_block_start comes where"),
        (lambda events: events.insert(4, events.pop(3)), "content_block_delta comes where"),
        (lambda events: events.pop(), "ends where message_stop"),
        (lambda events: events.append(events[-1]), "message_stop comes where nothing"),
        (lambda events: events.pop(-2), "message_stop comes where"),
        (_set(6, "index", to=2), "does not follow"),
        (_set(7, "index", to=0), "not open"),
        (_set(8, "index", to=0), "not open"),
        (_set(6, "content_block", "type", to="thinking"), "text_delta in a thinking block"),
        (_set(9, "content_block", "type", to="text"), "input_json_delta in a text block"),
        (_set(1, "content_block", to={"type": "tool_use", "id": "d", "input": {}}), "thinking_delta in a tool_use"),
        (_set(1, "content_block", "type", to="image"), "unknown block"),
        (_set(4, "delta", "signature", to="n"), "signature"),
        (_set(11, "delta", "partial_json", to="1"), "no JSON"),
        (_set(13, "delta", "stop_reason", to="end_turn"), "a call was made"),
        (_set(13, "delta", "stop_reason", to="done"), "unknown stop_reason"),
        (_set(13, "usage", "input_tokens", to=4), "input_tokens changes"),
        (_set(0, "message", "usage", "cache_read_input_tokens", to=None), "cache_read_input_tokens is no counter"),
        (_set(13, "usage", "output_tokens", to=None), "output_tokens is no counter"),
        (_set(13, "usage", "cache_creation_input_tokens", to=-1), "cache_creation_input_tokens is no counter"),
        (_set(0, "message", "usage", "output_tokens", to=1), "before the start"),
        (_set(0, "message", "content", to=[{}]), "not empty"),
        (lambda events: events.__delitem__(slice(9, 13)), "there is no call"),
        (lambda events: events[3].pop("delta"), "not of the wire's shape"),
    ],
)
def test_a_broken_stream_is_refused(break_it: Callable[[Events], Any], fault: str) -> None:
    events = _good()
    break_it(events)
    with pytest.raises(StreamFault, match=fault):
        check_messages_stream(_body(events))


def test_blocks_keep_their_order() -> None:
    events = _good()
    events[6:9], events[9:13] = events[9:13], []
    late_text = [_start(2, type="text", text=""), _delta(2, type="text_delta", text="Hi"), _stop(2)]
    for event in events[6:10]:
        event["index"] = 1
    with pytest.raises(StreamFault, match="too late"):
        check_messages_stream(_body([*events[:10], *late_text, *events[10:]]))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "message_start"),
        (_body(_good()) + b"data: [DONE]\n\n", "DONE"),
        (_body(_good()).replace(b"event: ping\n", b""), "an event named None"),
        (_body(_good()).replace(b"event: ping\n", b"event: pong\n"), "an event named 'pong'"),
        (_body(_good()).replace(b'{"type":"ping"}', b'{"type": "ping"}'), "not compact"),
    ],
)
def test_a_broken_body_is_refused(body: bytes, fault: str) -> None:
    with pytest.raises(StreamFault, match=fault):
        check_messages_stream(body)
