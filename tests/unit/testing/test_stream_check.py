from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from seekd.testing.stream_check import StreamFault, check_chat_stream, check_failed_chat_stream

Chunks = list[dict[str, Any]]

USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 4,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "prompt_cache_hit_tokens": 8,
    "prompt_cache_miss_tokens": 2,
}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "fp"}
    return {**head, "choices": [choice], **more}


def _call(index: int, **function: str) -> dict[str, Any]:
    piece: dict[str, Any] = {"index": index, "function": function}
    if "name" in function:
        piece |= {"id": f"call_{index}", "type": "function"}
    return {"tool_calls": [piece]}


def _good() -> Chunks:
    return copy.deepcopy(
        [
            _chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
            _chunk({"content": None, "reasoning_content": "Hmm."}),
            _chunk({"content": "Hi", "reasoning_content": None}),
            _chunk(_call(0, name="f", arguments="")),
            _chunk(_call(0, arguments='{"a": 1}')),
            _chunk(_call(1, name="g", arguments="")),
            _chunk(_call(1, arguments="{}")),
            _chunk({"content": "", "reasoning_content": None}, "tool_calls", usage=USAGE),
        ]
    )


def _body(chunks: Chunks, *, end: str = "data: [DONE]\n\n") -> bytes:
    frames = "".join(f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n" for chunk in chunks)
    return (": keep-alive\n\n" + frames + end).encode()


def test_a_good_stream_is_put_together() -> None:
    answer = check_chat_stream(_body(_good()))
    assert (answer.reasoning, answer.content, answer.finish_reason) == ("Hmm.", "Hi", "tool_calls")
    assert [(call["name"], call["arguments"]) for call in answer.tool_calls] == [("f", '{"a": 1}'), ("g", "{}")]
    assert answer.usage == USAGE


def test_a_legacy_stream_is_put_together() -> None:
    chunks = [
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"function_call": {"name": "f", "arguments": ""}}),
        _chunk({"function_call": {"arguments": "{}"}}),
        _chunk({"content": ""}, "function_call", usage=USAGE),
    ]
    assert check_chat_stream(_body(chunks)).function_call == {"name": "f", "arguments": "{}"}


def test_a_failed_stream_ends_with_its_error() -> None:
    body = _body([*_good()[:3], {"error": {"message": "x"}}], end="")
    assert check_failed_chat_stream(body).error == {"message": "x"}
    with pytest.raises(StreamFault, match="DONE"):
        check_chat_stream(body)
    with pytest.raises(StreamFault, match="no error frame"):
        check_failed_chat_stream(_body(_good()[:3], end=""))


def _set(index: int, key: str, value: object) -> Callable[[Chunks], Any]:
    return lambda chunks: chunks[index].__setitem__(key, value)


def _set_delta(index: int, **delta: object) -> Callable[[Chunks], Any]:
    return lambda chunks: chunks[index]["choices"][0].__setitem__("delta", delta)


def _set_usage(key: str, value: object) -> Callable[[Chunks], Any]:
    return lambda chunks: chunks[-1].__setitem__("usage", {**USAGE, key: value})


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda chunks: chunks.pop(0), "no role"),
        (_set(3, "id", "b"), "id changes"),
        (_set(3, "created", 2), "created changes"),
        (_set(3, "model", "n"), "model changes"),
        (_set(3, "object", "chat.completion"), "not a chat.completion.chunk"),
        (lambda chunks: chunks.insert(1, chunks.pop(2)), "reasoning comes after content"),
        (lambda chunks: chunks.insert(2, chunks.pop(4)), "a call that is not the last"),
        (lambda chunks: chunks.insert(5, chunks.pop(2)), "content comes after calls"),
        (lambda chunks: chunks.pop(), "no chunk has a finish_reason"),
        (lambda chunks: chunks.append(chunks[-1]), "follows the finish chunk"),
        (lambda chunks: chunks[-1].pop("usage"), "no usage"),
        (_set(2, "usage", None), "comes and goes"),
        (lambda chunks: [chunk.__setitem__("usage", USAGE) for chunk in chunks], "usage comes before the end"),
        (_set_usage("total_tokens", 15), "total_tokens"),
        (_set_usage("prompt_cache_hit_tokens", 7), "hit plus miss"),
        (_set_usage("prompt_tokens_details", {"cached_tokens": 0}), "cached_tokens"),
        (_set_usage("completion_tokens_details", {"reasoning_tokens": 5}), "reasoning_tokens"),
        (_set_delta(2, content="a", reasoning_content="b"), "both reasoning and content"),
        (_set_delta(3, content="", **_call(0, name="f", arguments="")), "has a content key"),
        (_set_delta(5, **_call(2, name="g", arguments="")), "does not follow"),
        (_set_delta(5, tool_calls=[{**_call(1, name="g", arguments="")["tool_calls"][0], "id": "call_0"}]), "one id"),
        (_set_delta(4, **_call(1, arguments="{}")), "not the last"),
        (lambda chunks: chunks[-1]["choices"][0].__setitem__("finish_reason", "stop"), "a call was made"),
        (lambda chunks: chunks[-1]["choices"][0].__setitem__("finish_reason", "done"), "unknown finish_reason"),
        (lambda chunks: chunks.__delitem__(slice(3, 7)), "there is none"),
        (_set(2, "choices", []), "not of the wire's shape"),
        (lambda chunks: chunks[2].pop("choices"), "not of the wire's shape"),
        (lambda chunks: chunks.insert(3, {"error": {"message": "x"}}), "follows the error frame"),
    ],
)
def test_a_broken_stream_is_refused(break_it: Callable[[Chunks], Any], fault: str) -> None:
    chunks = _good()
    break_it(chunks)
    with pytest.raises(StreamFault, match=fault):
        check_chat_stream(_body(chunks))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "DONE"),
        (_body(_good(), end=""), "DONE"),
        (_body(_good()).removesuffix(b"\n"), "blank line"),
        (b"data: [DONE]\n\n" + _body(_good()), "before the end"),
        (_body(_good()).replace(b"data: {", b"event: chunk\ndata: {", 1), "has the name"),
        (_body(_good()).replace(b'"index":0', b'"index": 0', 1), "not compact"),
        (b"hello\n\n" + _body(_good()), "unknown line"),
        (b"data: {\n\n" + _body(_good()), "not of the wire's shape"),
    ],
)
def test_a_broken_body_is_refused(body: bytes, fault: str) -> None:
    with pytest.raises(StreamFault, match=fault):
        check_chat_stream(body)
