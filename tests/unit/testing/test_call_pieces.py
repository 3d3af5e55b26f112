"""Arguments come in the very pieces that a test asked for."""

from __future__ import annotations

import json

from seekd.testing.call_pieces import exact_body, exact_stream
from seekd.testing.stream_check import check_chat_stream
from tests.unit.testing.test_faults import BODY, CALLS, TEXT

STREAM = b"".join(CALLS)


def test_a_stream_has_one_chunk_a_piece_behind_the_one_with_the_name() -> None:
    sent = exact_stream(STREAM, [("{", "oops")])
    answer = check_chat_stream(sent)
    assert answer.tool_calls == [{"id": "c", "name": "f", "arguments": "{oops"}]
    pieces = [
        call["function"]["arguments"]
        for chunk in answer.chunks
        for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert pieces == ["", "{", "oops"]


def test_other_calls_and_streams_stay_as_they_are() -> None:
    assert exact_stream(STREAM, [None]) == STREAM
    assert exact_stream(STREAM, []) == STREAM
    assert exact_stream(b"".join(TEXT), [("x",)]) == b"".join(TEXT)


def test_a_whole_answer_has_them_joined() -> None:
    [choice] = json.loads(exact_body(BODY, [('{"a', '": 1')]))["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1'
    assert json.loads(exact_body(BODY, [None])) == json.loads(BODY)
