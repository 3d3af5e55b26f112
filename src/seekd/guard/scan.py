"""One cheap look at a text that says where the rules have to look at all.

Imports numpy only.

Expressions of Python's `re` read 15 to 70 MB of prose a second, each; so none of them reads a whole text here. The text
is turned into bytes, one for each character, and searched by vector operations for what every rule needs: digits that
stand close together, long unbroken words, colons, or a sign such as @. The rules then look at these places only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

MIN_WORD_CHARS = 20
"""The shortest key is as long."""

_WORD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_WORD_MAP = bytes(b"x"[0] if byte in _WORD else b" "[0] for byte in range(256))
_WORDS = np.isin(np.arange(256), list(_WORD))
_HEX = np.isin(np.arange(256), list(b"0123456789abcdefABCDEF"))
_JOINS_DIGITS = np.isin(np.arange(256), list(b" .-()/\xa0"))
_MAX_GAP = 3  # `) (`, ` - `: never more than two characters between two digits of one number
_MIN_DIGITS = 7
_MIN_DOTS = 3
_UNSPACED_SCRIPTS = "\u2e80"
_MAX_GROUP = 4  # digits between two colons

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class DigitRun:
    """Digits with at most two separators between each two of them.

    Attributes:
        start: of the first digit.
        end: after the last one.
        num_digits: in between.
        has_dots: whether three single dots stand between them.
    """

    start: int
    end: int
    num_digits: int
    has_dots: bool


class Scan:
    """The places of one text. Each kind is looked for when it is first asked for.

    Attributes:
        text: as it is; positions are those of its characters.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        # One byte a character keeps the positions; what is outside of Latin-1 becomes a question mark.
        self._bytes = text.encode("latin-1", "replace")
        self._codes = np.frombuffer(self._bytes, np.uint8)

    @cached_property
    def _digits(self) -> Positions:
        return np.flatnonzero((self._codes - 48) < 10)

    @cached_property
    def digit_runs(self) -> list[DigitRun]:
        """Runs that are long enough for a number of telephone or card, or have dots enough for an address."""
        at = self._digits
        if len(at) < _MIN_DOTS + 1:
            return []
        gaps = np.diff(at)
        first = _JOINS_DIGITS[self._codes[at[:-1] + 1]]
        second = _JOINS_DIGITS[self._codes[np.minimum(at[:-1] + 2, len(self._codes) - 1)]]
        linked = (gaps == 1) | ((gaps == 2) & first) | ((gaps == _MAX_GAP) & first & second)
        dotted = np.concatenate(([0], np.cumsum((gaps == 2) & (self._codes[at[:-1] + 1] == ord(".")))))
        starts = np.concatenate(([0], np.flatnonzero(~linked) + 1))
        ends = np.concatenate((starts[1:], [len(at)]))
        counts = ends - starts
        dots = dotted[ends - 1] - dotted[starts]
        wanted = (counts >= _MIN_DIGITS) | (dots >= _MIN_DOTS)
        columns = (at[starts[wanted]], at[ends[wanted] - 1] + 1, counts[wanted], dots[wanted] >= _MIN_DOTS)
        return [DigitRun(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    @cached_property
    def country_codes(self) -> list[int]:
        """Where two capitals stand before two digits, as an IBAN begins."""
        at = self._digits
        if len(at) < 2:
            return []
        pairs = at[:-1][(np.diff(at) == 1) & (at[:-1] >= 2)]
        codes = self._codes
        capital = ((codes[pairs - 1] - 65) < 26) & ((codes[pairs - 2] - 65) < 26)
        return [int(position) - 2 for position in pairs[capital]]

    @cached_property
    def colons(self) -> list[int]:
        """Colons inside what may be an address of version 6: doubled beside a hexadecimal digit, or two close by."""
        at = np.flatnonzero(self._codes == ord(":"))
        if len(at) < 2:
            return []
        gaps = np.diff(at)
        before = self._codes[np.maximum(at[:-1] - 1, 0)]
        after = self._codes[np.minimum(at[:-1] + 2, len(self._codes) - 1)]
        doubled = (gaps == 1) & _HEX[before] & (_HEX[after] | ~_WORDS[after])
        near = (gaps >= 2) & (gaps <= _MAX_GROUP + 1)
        chained = np.zeros_like(near)
        chained[1:] = near[1:] & near[:-1]
        return [int(position) for position in at[:-1][doubled | chained]]

    def long_words(self) -> Iterator[tuple[int, int]]:
        """Start and end of words of letters, digits, `_` and `-` that are long enough for a key."""
        kinds = self._bytes.translate(_WORD_MAP)
        needle = b"x" * MIN_WORD_CHARS
        found = kinds.find(needle)
        while found >= 0:
            end = kinds.find(b" ", found)
            end = len(kinds) if end < 0 else end
            yield found, end
            found = kinds.find(needle, end)


def is_letter(sign: str) -> bool:
    """Whether a sign, or none, goes on a word that has spaces around it: Chinese and the like have none."""
    return sign.isalnum() and sign < _UNSPACED_SCRIPTS
