"""Finds stop strings in text that comes in pieces.

Text that could be the beginning of a stop string is held back until it is decided, so no part of one gets out:

    stops ["END"]   push "the E" -> "the "   push "N" -> ""   push "ergy" -> "ENergy"
                                             push "ND" -> "", found
"""

from __future__ import annotations

from collections.abc import Sequence


class StopScanner:
    """The text of one answer. The earliest stop string wins; of those that begin together, the first in the list."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found = False

    def push(self, text: str) -> str:
        """Give the next text; returns what is safe to send. Nothing comes after a stop string was found."""
        if self.found:
            return ""
        self._held += text
        starts = [start for stop in self._stops if (start := self._held.find(stop)) >= 0]
        if starts:
            self.found = True
            safe, self._held = self._held[: min(starts)], ""
            return safe
        num_held = self._num_undecided()
        cut = len(self._held) - num_held
        safe, self._held = self._held[:cut], self._held[cut:]
        return safe

    def flush(self) -> str:
        """Say that no text follows; returns what was held back."""
        safe, self._held = self._held, ""
        return "" if self.found else safe

    def _num_undecided(self) -> int:
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0
