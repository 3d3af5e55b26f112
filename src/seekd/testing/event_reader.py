"""Follows a stream of named events, as Messages and Responses streams are.

Imports the standard library and `stream_check`.

A subclass says of each event what may come after it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from seekd.testing.stream_check import Json, demand, judging, read_named_events


class Answer(Protocol):
    """What a stream said, put together; `error` is what it failed with."""

    error: Json | None


AnswerT = TypeVar("AnswerT", bound=Answer)


class EventReader(ABC, Generic[AnswerT]):
    """Reads one stream.

    Args:
        answer: filled while reading.
        first: the event that a stream begins with.
    """

    def __init__(self, answer: AnswerT, *, first: str) -> None:
        self.answer = answer
        self.expect(first)

    def read_good(self, body: bytes) -> AnswerT:
        """Judge a stream that ended well. Raises `StreamFault`."""
        answer = self._read(body)
        demand(answer.error is None, "the stream ends with an error")
        return answer

    def read_failed(self, body: bytes) -> AnswerT:
        """Judge a stream that failed after it had begun. Raises `StreamFault`."""
        answer = self._read(body)
        demand(answer.error is not None, "no error event")
        return answer

    @abstractmethod
    def take(self, event: Json) -> None:
        """Judge one event, which may come here."""

    def expect(self, *kinds: str) -> None:
        """Say what may come next, besides an error."""
        self.expect_only(*kinds, "error")

    def expect_only(self, *kinds: str) -> None:
        """Say what must come next, not even an error; nothing at the end."""
        self._expected = frozenset(kinds)

    def _read(self, body: bytes) -> AnswerT:
        with judging():
            for event in read_named_events(body):
                kind = event["type"]
                demand(kind in self._expected, f"{kind} comes where {self._names()} may come")
                self.take(event)
            demand(not self._expected, f"the stream ends where {self._names()} should come")
        return self.answer

    def _names(self) -> str:
        return " or ".join(sorted(self._expected)) or "nothing"
