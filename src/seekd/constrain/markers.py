"""Where in an answer a marker's own token may come: where the answer's form has the marker, and in no text.

Runs in the engine process.

A grammar spells markers as text, because the reader of the answer takes both spellings equally. So it lets their tokens
through wherever that text may stand, strings and free text included. This follows the bytes of an answer and says which
markers are markup there:

    LEAD ──<think>──> REASONING ──</think>──> TEXT ──opener──> CALLS    of JSON, outside of its strings all of them
      └────anything else───────────────────────^ └──{──> NO_MARKERS     an object, or an answer without calls

The opener of the DSML forms changes nothing: `｜DSML｜` may come behind `<` and `</`, where the name of an element is
forced behind it (see `names_an_element`).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from seekd.constrain.lark import escape

THINK, THINK_END, DSML = "<think>", "</think>", "｜DSML｜"
_CALL_MARKERS = frozenset(
    {
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁sep｜>",
        "<tool_call>",
        "</tool_call>",
    }
)
TEXT_MARKERS = frozenset({THINK, THINK_END, DSML}) | _CALL_MARKERS
"""Markers that the parser matches by their text, so a grammar spells them as text."""

_OPENERS = (f"<{DSML}", "<｜tool▁calls▁begin｜>", "<tool_call>")
_ELEMENTS = tuple(name.encode() for name in ("calls", "tool_calls", "function_calls", "invoke", "parameter"))
_TAIL_BYTES = max(len(marker.encode()) for marker in TEXT_MARKERS)


def names_an_element(text: bytes) -> bool:
    """Whether what follows `<｜DSML｜` or `</｜DSML｜` makes it markup."""
    return text.removeprefix(b" ").startswith(_ELEMENTS)


class _Part(enum.Enum):
    LEAD = enum.auto()
    REASONING = enum.auto()
    TEXT = enum.auto()
    CALLS = enum.auto()
    NO_MARKERS = enum.auto()


@dataclass(slots=True, kw_only=True)
class MarkerPlaces:
    """Follows one answer; copied for each. Made by `places_of`."""

    _part: _Part
    _opener: str | None  # what opens calls; None where there are none
    _may_be_object: bool  # an answer that is no call is an object
    _tail: bytes = b""  # what was not yet, or may still be, a marker
    _is_in_string: bool = False
    _is_escaped: bool = False

    def accept(self, data: bytes) -> None:
        """Follow the next bytes."""
        self._tail += data
        part = None
        while part is not self._part:
            part = self._part
            self._follow()
        self._tail = self._tail[-_TAIL_BYTES:]

    def allows(self, marker: str) -> bool:
        """Whether the marker may be markup here; for `｜DSML｜` it depends on what follows, too."""
        if self._part is _Part.REASONING:
            return marker == THINK_END
        if self._part is _Part.CALLS:
            return marker in _CALL_MARKERS and not self._is_in_string
        if self._part is _Part.NO_MARKERS:
            return False
        if self._part is _Part.LEAD and marker == THINK:
            return not self._tail.strip()
        return marker == self._opener or (
            marker == DSML and self._opener == f"<{DSML}" and self._tail.endswith((b"<", b"</"))
        )

    def _follow(self) -> None:
        if self._part is _Part.LEAD:
            self._leave_lead()
        elif self._part is _Part.REASONING:
            self._leave(THINK_END, _Part.TEXT)
        elif self._part is _Part.TEXT:
            self._leave_text()
        elif self._part is _Part.CALLS:
            self._follow_json()

    def _leave(self, marker: str, part: _Part) -> None:
        _, found, rest = self._tail.partition(marker.encode())
        if found:
            self._part, self._tail = part, rest

    def _leave_lead(self) -> None:
        text, think = self._tail.lstrip(), THINK.encode()
        if text.startswith(think):
            self._leave(THINK, _Part.REASONING)
        elif not think.startswith(text):
            self._part = _Part.TEXT

    def _leave_text(self) -> None:
        if self._opener is None or (self._may_be_object and self._tail.lstrip().startswith(b"{")):
            self._part = _Part.NO_MARKERS
        elif self._opener in _CALL_MARKERS:
            self._leave(self._opener, _Part.CALLS)

    def _follow_json(self) -> None:
        for byte in self._tail:
            if self._is_escaped:
                self._is_escaped = False
            elif byte == ord('"'):
                self._is_in_string = not self._is_in_string
            elif byte == ord("\\"):
                self._is_escaped = True
        self._tail = b""


def places_of(grammar: str) -> MarkerPlaces:
    """The beginning of an answer, read off the lines that `constrain.grammars` writes; no schema can write a line."""
    lines = grammar.split("\n")
    start = next((line for line in lines if line.startswith("start: ")), "")
    before_calls = next((line for line in lines if line.startswith("NO_CALLS: ")), "")
    part = _Part.TEXT
    if start.startswith("start: reasoning "):
        part = _Part.REASONING
    elif start.startswith("start: thought? "):
        part = _Part.LEAD
    return MarkerPlaces(
        _part=part,
        _opener=next((opener for opener in _OPENERS if escape(opener) in before_calls), None),
        _may_be_object=any(line.startswith("object: ") for line in lines),
    )
