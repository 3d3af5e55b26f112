"""Texts of malformed bodies, with the path and the place that the service names.

The service reads with a streaming reader, and the place that it names is where that reader stood. Source:
docs/reference/wire.md §5.4 and §5.5.

    wrong scalar             behind it
    wrong object or array    before its opening bracket
    missing member           behind the object's closing brace
    inside a message         behind the comma or bracket that follows the message: messages are read whole, then judged
"""

from __future__ import annotations

import re
from collections.abc import Callable

from seekd.errors import MalformedBody
from seekd.prompt.recipe import WireProtocol
from seekd.wire.blame import Culprit, find_culprit
from seekd.wire.json_locator import Path, Place, end_behind_element, offset_of, path_at, path_text, place_of, span_of

_SYNTAX = "Failed to parse the request body as JSON: "
_SHAPE = "Failed to deserialize the JSON body into the target type: "
_PLACE = re.compile(r" at line (\d+) column (\d+)$")

MAX_LOCATED_BYTES = 512 * 1024
"""Larger bodies get the reason without a path: finding it costs 0.2 s of the event loop a megabyte (measured)."""

_BETWEEN_VALUES = (
    "EOF while parsing a list",
    "EOF while parsing an object",
    "expected `,` or",
    "expected `:`",
    "key must be a string",
    "trailing comma",
)
"""Reasons of a reader that was not inside a value."""

_WRONG_NAME_TYPE = re.compile(r"invalid type: .*, expected string or map")
_SERVICE_WORDS = (("struct ChatCompletionThinking", "struct ThinkingOptions"),)
"""Names of the service's own types where the protocol package has others."""


def located(
    error: MalformedBody,
    protocol: WireProtocol,
    *,
    body: bytes,
    rewritten: bytes,
    callers_path: Callable[[Path], Path] = lambda path: path,
) -> MalformedBody:
    """The error with the sentence, the path and the place that the service gives it.

    Args:
        error: the protocol package's bare reason.
        protocol: whose body it is.
        body: as received.
        rewritten: what the protocol package saw.
        callers_path: from a path in `rewritten` to the one in `body`.
    """
    if error.is_syntax:
        return MalformedBody(_SYNTAX + _with_path(error.message, body), is_syntax=True)
    culprit = find_culprit(protocol, rewritten, error.message) if len(body) <= MAX_LOCATED_BYTES else None
    if culprit is None:
        return MalformedBody(_SHAPE + _in_service_words(error.message), is_syntax=False)
    culprit = Culprit(path=callers_path(culprit.path), is_missing_member=culprit.is_missing_member)
    if _WRONG_NAME_TYPE.fullmatch(error.message):
        return _unreadable_name(culprit.path, body)
    reported, offset = _reported(culprit, body)
    return MalformedBody(
        _SHAPE + _prefix(reported) + _in_service_words(error.message) + _suffix(body, offset), is_syntax=False
    )


def wrong_member(body: bytes, path: Path, reason: str) -> MalformedBody:
    """The error for a member that the protocol package does not know.

    Args:
        body: as received; a JSON object.
        path: of the value that is wrong, or of the object that lacks a member.
        reason: in the words of the package's reader.
    """
    culprit = Culprit(path=path, is_missing_member=reason.startswith("missing field"))
    reported, offset = _reported(culprit, body)
    return MalformedBody(_SHAPE + _prefix(reported) + reason + _suffix(body, offset), is_syntax=False)


def _with_path(message: str, body: bytes) -> str:
    match = _PLACE.search(message)
    if match is None or len(body) > MAX_LOCATED_BYTES:
        return message
    offset = offset_of(body, Place(line=int(match.group(1)), column=int(match.group(2))))
    return _prefix(path_at(body, offset, is_between_values=message.startswith(_BETWEEN_VALUES))) + message


def _unreadable_name(path: Path, body: bytes) -> MalformedBody:
    # The service's reader gives up at the first byte of a name that is no string: for it that is broken JSON.
    span = span_of(body, path)
    offset = None if span is None else span.start + 1
    return MalformedBody(f"{_SYNTAX}{_prefix(path)}expected value{_suffix(body, offset)}", is_syntax=True)


def _reported(culprit: Culprit, body: bytes) -> tuple[Path, int | None]:
    path = culprit.path
    if len(path) > 2 and path[0] == "messages" and path[2:] != ("role",):
        return path[:2], _behind_element(body, path[:2])
    span = span_of(body, path)
    if span is None:
        return path, None
    if culprit.is_missing_member:
        if len(path) == 2 and path[0] == "messages" and span_of(body, (*path, "role")) is not None:
            return path, _behind_element(body, path)
        return path, span.end
    is_scalar = body[span.start : span.start + 1] not in (b"{", b"[")
    return path, span.end if is_scalar else span.start


def _behind_element(body: bytes, path: Path) -> int | None:
    span = span_of(body, path)
    return None if span is None else end_behind_element(body, span)


def _prefix(path: Path) -> str:
    return f"{path_text(path)}: " if path else ""


def _suffix(body: bytes, offset: int | None) -> str:
    if offset is None:
        return ""
    place = place_of(body, offset)
    return f" at line {place.line} column {place.column}"


def _in_service_words(message: str) -> str:
    for own, service in _SERVICE_WORDS:
        message = message.replace(own, service)
    return message
