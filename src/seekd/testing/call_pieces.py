"""Puts a call's arguments into the very pieces that a test asks for, in answers of Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from seekd.testing.seen import Json

Pieces = Sequence[Sequence[str] | None]
"""Of each call in order; None leaves its arguments as they are."""


def exact_body(body: bytes, pieces: Pieces) -> bytes:
    """A whole answer whose calls have the given arguments."""
    data = json.loads(body)
    for choice in data.get("choices", ()):
        for call, wanted in zip(choice["message"].get("tool_calls") or (), pieces, strict=False):
            if wanted is not None:
                call["function"]["arguments"] = "".join(wanted)
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


def exact_stream(stream: bytes, pieces: Pieces) -> bytes:
    """A stream whose calls have the given arguments, one chunk a piece behind the chunk with the name."""
    frames = [frame for frame in stream.split(b"\n\n") if frame]
    return b"".join(new + b"\n\n" for frame in frames for new in _replaced(frame, pieces))


def _replaced(frame: bytes, pieces: Pieces) -> Iterator[bytes]:
    call = _call(frame)
    wanted = None if call is None or call["index"] >= len(pieces) else pieces[call["index"]]
    if call is None or wanted is None:
        yield frame
        return
    if "id" not in call:
        return  # a later piece of the server's own
    data = json.loads(frame.removeprefix(b"data: "))
    data["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"] = ""
    yield _frame(data)
    for piece in wanted:
        delta = {"tool_calls": [{"index": call["index"], "function": {"arguments": piece}}]}
        data["choices"][0]["delta"] = delta
        yield _frame(data)


def _call(frame: bytes) -> Json | None:
    if not frame.startswith(b"data: {"):
        return None
    choices = json.loads(frame.removeprefix(b"data: ")).get("choices") or ()
    calls = choices[0].get("delta", {}).get("tool_calls") if choices else None
    return calls[0] if calls else None


def _frame(data: Json) -> bytes:
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
