"""Settlements that the database could not take yet, on disk, so that not even a killed process loses them.

Room: accounts. May import: accounts.operations, types.

One JSON object a line. A settlement can be repeated, so a line that was already settled does no harm, and a line cut
short by a crash or a full disk belongs to a request whose hold is still in the database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from seekd.accounts.operations import Settle
from seekd.accounts.types import Price, Reservation, Usage


class Journal:
    """A file of settlements. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, settlements: Iterable[Settle]) -> None:
        """Add settlements, and return when they are on disk. Raises `OSError`."""
        lines = "".join(_line(settlement) for settlement in settlements)
        with open(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "w") as file:  # noqa: PTH123 - a descriptor, for its mode
            file.write("\n" + lines)  # the last line may have been cut short, and must not spoil the next
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Settle]:
        """What is waiting."""
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        settlements = []
        for line in text.splitlines():
            with suppress(ValueError, KeyError, TypeError):
                settlements.append(_settlement(line))
        return settlements

    def clear(self) -> None:
        """Forget everything; the database has it."""
        self._path.unlink(missing_ok=True)


def _line(settlement: Settle) -> str:
    # The kept answer of an idempotency key stays out: its claim is freed with the server that made it.
    return json.dumps([asdict(settlement.reservation), asdict(settlement.usage)]) + "\n"


def _settlement(line: str) -> Settle:
    reservation, usage = json.loads(line)
    return Settle(
        reservation=Reservation(**{**reservation, "price": Price(**reservation["price"])}), usage=Usage(**usage)
    )
