"""The words of the guard room, and what an extension must be able to do."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Action(enum.StrEnum):
    """What happens to what a rule finds."""

    BLOCK = "block"
    REDACT = "redact"
    REPORT = "report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Sensitive data in a text.

    Attributes:
        start: of the characters, counted from 0.
        end: after the last of them.
        rule: the name that settings know the kind by.
        label: upper case; what a placeholder is made of.
    """

    start: int
    end: int
    rule: str
    label: str


class Redactor(Protocol):
    """Finds sensitive data. An extension of the group `seekd.redactors` is a callable that makes one."""

    def find(self, text: str) -> Sequence[Finding]:
        """What is sensitive in a text; the rule of each finding is set to the extension's name.

        Called in a thread, one text after another, for each text of a request; keeps nothing of it.
        """


class Stage(enum.StrEnum):
    """When a text is checked."""

    INPUT = "input"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a guard thinks of a text.

    Attributes:
        allowed: whether it may pass.
        reason: for the server's log; never for the caller. Holds nothing of the text.
    """

    allowed: bool
    reason: str = ""


class GuardUnavailable(Exception):
    """A guard could not come to a verdict."""


class Guard(Protocol):
    """Judges what is asked and what is answered. An extension of `seekd.guards` is a callable that makes one."""

    async def check(self, text: str, *, stage: Stage) -> Verdict:
        """Judge a text.

        Args:
            text: all texts of a request, redacted; or the answer so far, reasoning and markup included.
            stage: which of the two.

        Raises:
            GuardUnavailable: no verdict could be had; so does any other error.
        """

    async def close(self) -> None:
        """Free what it holds; the server is stopping."""
