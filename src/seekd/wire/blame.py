"""Which part of a refused body is to blame, found by asking the protocol package again.

The package says what is wrong but not where. So the body is cut down: an object to one of its members, an array to one
of its elements. While the cut body is refused with the same words, what is left holds the culprit. No table of the
protocols' shapes is needed, and the cost is about that of reading the body once a level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from seekd.errors import MalformedBody
from seekd.prompt.recipe import ReadBody, WireProtocol
from seekd.wire.json_locator import Path

MAX_PARTS = 4096
"""Members or elements of one value that are tried; a body with more gets an error without a place."""

_MISSING = re.compile(r"missing field `([^`]*)`")
_TAGS = ("role", "type")
"""Members that choose how their object is read, so that no other member is read without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """What is to blame.

    Attributes:
        path: of the value that is wrong, or of the object that lacks a member.
        is_missing_member: the object at `path` lacks a member.
    """

    path: Path
    is_missing_member: bool


def find_culprit(protocol: WireProtocol, body: bytes, message: str) -> Culprit | None:
    """Find what a body was refused for.

    Args:
        protocol: whose body it is.
        body: valid JSON that the package refuses.
        message: its reason.

    Returns:
        None when the body has too many parts.
    """
    search = _Search(protocol, message)
    return search.run(msgspec.json.decode(body))


class _Search:
    def __init__(self, protocol: WireProtocol, message: str) -> None:
        self._protocol = protocol
        self._message = message
        missing = _MISSING.fullmatch(message)
        self._missing_member = missing.group(1) if missing else None

    def run(self, value: Any) -> Culprit | None:
        path: list[str | int] = []
        wrap: Callable[[Any], Any] = _itself
        while True:
            if self._lacks_member(value, wrap):
                return Culprit(path=tuple(path), is_missing_member=True)
            if self._is_wrong_as_a_whole(value, wrap):
                return Culprit(path=tuple(path), is_missing_member=False)
            if isinstance(value, dict | list) and len(value) > MAX_PARTS:
                return None
            for part, smaller, inner_wrap in _parts(value):
                if self._is_refused_alike(wrap(smaller)):
                    path.append(part)
                    value = value[part]
                    wrap = _composed(wrap, inner_wrap)
                    break
            else:
                return Culprit(path=tuple(path), is_missing_member=False)

    def _lacks_member(self, value: Any, wrap: Callable[[Any], Any]) -> bool:
        member = self._missing_member
        if member is None or not isinstance(value, dict) or member in value:
            return False
        return not self._is_refused_alike(wrap({**value, member: None}))

    def _is_wrong_as_a_whole(self, value: Any, wrap: Callable[[Any], Any]) -> bool:
        return isinstance(value, dict | list) and bool(value) and self._is_refused_alike(wrap(type(value)()))

    def _is_refused_alike(self, value: Any) -> bool:
        try:
            ReadBody(self._protocol, msgspec.json.encode(value))
        except MalformedBody as error:
            return error.message == self._message
        return False


def _parts(value: Any) -> Iterator[tuple[str | int, Any, Callable[[Any], Any]]]:
    """Each part: its key or index, the value with nothing but it, and how to put another value in its place."""
    if isinstance(value, list):
        for index, element in enumerate(value):
            yield index, [element], _in_list
    elif isinstance(value, dict):
        for key in value:
            yield key, {key: value[key]}, _in_object({}, key)
        tags = {tag: value[tag] for tag in _TAGS if tag in value}
        if tags:
            for key in value:
                if key not in tags:
                    yield key, {**tags, key: value[key]}, _in_object(tags, key)


def _itself(value: Any) -> Any:
    return value


def _in_list(value: Any) -> Any:
    return [value]


def _in_object(tags: dict[str, Any], key: str) -> Callable[[Any], Any]:
    return lambda value: {**tags, key: value}


def _composed(outer: Callable[[Any], Any], inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: outer(inner(value))
