"""Collects the segments of one prompt."""

from __future__ import annotations

from seekd.prompt.types import Segment


class SegmentWriter:
    """Appends text of three kinds; texts of one kind that follow each other become one segment."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []

    def control(self, *spellings: str) -> None:
        """Tokens that the model must have, one each."""
        self.segments += [Segment(text=spelling, is_control=True) for spelling in spellings]

    def markup(self, text: str) -> None:
        """The encoding's own text, in which special tokens are meant."""
        self._append(text, is_markup=True)

    def plain(self, text: str) -> None:
        """Text of the caller, which must not become a special token."""
        self._append(text, is_markup=False)

    def _append(self, text: str, *, is_markup: bool) -> None:
        last = self.segments[-1] if self.segments else None
        if last is not None and not last.is_control and last.is_markup == is_markup:
            self.segments.pop()
            text = last.text + text
        if text:
            self.segments.append(Segment(text=text, is_markup=is_markup))
