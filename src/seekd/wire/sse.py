"""Server-sent event frames.

Compact JSON never holds a line feed, so one `data:` line is enough. Source: HTML Living Standard §9.2.6.
"""

from __future__ import annotations

STREAM_CONTENT_TYPE = "text/event-stream; charset=utf-8"
KEEP_ALIVE_FRAME = b": keep-alive\n\n"
DONE_FRAME = b"data: [DONE]\n\n"


def comment(text: str) -> bytes:
    """One line that clients pass over, as they pass over what keeps a stream alive."""
    return f": {text}\n\n".encode()


def frame(data: bytes, *, event_name: str | None = None) -> bytes:
    """One event.

    Args:
        data: one line of text.
        event_name: None for an unnamed event.
    """
    return b"".join((b"" if event_name is None else f"event: {event_name}\n".encode(), b"data: ", data, b"\n\n"))
