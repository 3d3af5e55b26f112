"""The words of the guard room, and what an extension must be able to do.

Room: guard. May import: errors.
"""

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

        Called in threads, for each text of a request; keeps nothing of it.
        """
