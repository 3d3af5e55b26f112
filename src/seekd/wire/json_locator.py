"""Where things are in JSON text: byte spans of values, and the path that a reader was at when it stopped.

Runs only for bodies that were refused, to name the place in the error. It trusts the protocol package for what is
wrong and never refuses anything itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and indexes from the outermost value inwards; empty for the outermost value itself."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_OPENING = (b"{", b"[")
_CLOSING = (b"}", b"]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Bytes `[start, end)` of a value."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in text as error messages count it: lines from 1, columns in bytes that come before it in its line."""

    line: int
    column: int


def place_of(body: bytes, offset: int) -> Place:
    """The place behind the first `offset` bytes."""
    before = body[:offset]
    return Place(line=before.count(b"\n") + 1, column=offset - (before.rfind(b"\n") + 1))


def offset_of(body: bytes, place: Place) -> int:
    """The inverse of `place_of`."""
    start = 0
    for _ in range(place.line - 1):
        start = body.find(b"\n", start) + 1
    return start + place.column


def path_text(path: Path) -> str:
    """`messages[0].role`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def span_of(body: bytes, path: Path) -> Span | None:
    """The bytes of the value at a path of valid JSON text; of several equal keys the last counts. None if not there."""
    found: Span | None = None
    for value_path, span in _values(body):
        if value_path == path:
            found = span
    return found


def end_behind_element(body: bytes, span: Span) -> int:
    """The offset behind the comma or bracket that follows an element of an array."""
    match = _TOKEN.search(body, span.end)
    return span.end if match is None else match.end()


def path_at(body: bytes, offset: int, *, is_between_values: bool) -> Path:
    """The path of the value that a reader stood at when it could not read on.

    Args:
        body: text that is valid JSON up to `offset`.
        offset: where reading ended.
        is_between_values: the reader wanted a comma, a colon, a key or a bracket; then the place is the container.
    """
    stack: list[str | int] = []
    kinds: list[bytes] = []
    awaits_value = True
    pending_key: str | None = None
    for match in _TOKEN.finditer(body, 0, offset):
        token = match.group()
        if token in _OPENING:
            kinds.append(token)
            stack.append("" if token == b"{" else 0)
            awaits_value = token == b"["
        elif token in _CLOSING:
            if kinds:
                kinds.pop()
                stack.pop()
            awaits_value = False
        elif token == b":":
            if kinds and pending_key is not None:
                stack[-1] = pending_key
            awaits_value = True
        elif token == b",":
            awaits_value = bool(kinds) and kinds[-1] == b"["
            if awaits_value:
                stack[-1] = int(stack[-1]) + 1
            pending_key = None
        elif kinds and kinds[-1] == b"{" and not awaits_value and token.startswith(b'"'):
            pending_key = _text(token)
        else:
            # A complete value; one that broke off is still the place.
            awaits_value = match.end() >= offset
    return tuple(stack) if awaits_value and not is_between_values else tuple(stack[:-1])


def _values(body: bytes) -> Iterator[tuple[Path, Span]]:
    """Every value with its path, inner ones before the one that holds them."""
    path: list[str | int] = []
    open_values: list[tuple[bytes, int]] = []
    key: str | None = None
    for match in _TOKEN.finditer(body):
        token = match.group()
        if token in _OPENING:
            open_values.append((token, match.start()))
            path.append(0 if token == b"[" else "")
            key = None
        elif token in _CLOSING:
            _, start = open_values.pop()
            path.pop()
            yield tuple(path), Span(start=start, end=match.end())
        elif token == b",":
            key = None
            if open_values[-1][0] == b"[":
                path[-1] = int(path[-1]) + 1
        elif token == b":":
            path[-1] = key if key is not None else ""
        elif open_values and open_values[-1][0] == b"{" and key is None:
            key = _text(token)
        else:
            yield tuple(path), Span(start=match.start(), end=match.end())


def _text(token: bytes) -> str:
    try:
        return str(json.loads(token))
    except ValueError:
        return token.strip(b'"').decode("utf-8", "replace")
