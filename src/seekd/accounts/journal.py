"""Settlements that the database could not take yet, on disk, so that not even a killed process loses them.

One JSON object a line. A settlement can be repeated, so a line that was already settled does no harm, and a line cut
short by a crash or a full disk belongs to a request whose hold is still in the database.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from seekd.accounts.operations import Settle
from seekd.accounts.types import Reservation, Usage

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(tuple[Reservation, Usage])


class Journal:
    """A file of settlements. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, settlements: Iterable[Settle]) -> None:
        """Add settlements, and return when they are on disk. Raises `OSError`."""
        lines = b"".join(encode_settlement(settlement) + b"\n" for settlement in settlements)
        with open(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
            file.write(b"\n" + lines)  # the last line may have been cut short, and must not spoil the next
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Settle]:
        """What is waiting."""
        return decode_settlements(self._path)

    def clear(self) -> None:
        """Forget everything; the database has it."""
        self._path.unlink(missing_ok=True)


def encode_settlement(settlement: Settle) -> bytes:
    """A settlement as one line, without its end."""
    # The kept answer of an idempotency key stays out: its claim is freed with the server that made it.
    return _encoder.encode((settlement.reservation, settlement.usage))


def decode_settlements(path: Path) -> list[Settle]:
    """The whole lines of a file; none when there is no such file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    settlements = []
    for line in content.splitlines():
        with suppress(ValueError):
            reservation, usage = _decoder.decode(line)
            settlements.append(Settle(reservation=reservation, usage=usage))
    return settlements
