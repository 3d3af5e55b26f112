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


def frame(data: str, *, event_name: str | None = None) -> bytes:
    """One event.

    Args:
        data: one line of text.
        event_name: None for an unnamed event.
    """
    if event_name is None:
        return f"data: {data}\n\n".encode()
    return f"event: {event_name}\ndata: {data}\n\n".encode()
