"""Settlements of free requests on their way to the database, where a killed process does not lose them.

A free request ends without waiting for a commit. Its settlement is handed to the operating system in a file first,
which costs microseconds and outlives `kill -9`; the database has it, flushed to disk, about a millisecond later. A
power cut loses that millisecond: see docs/decisions/free-requests.md.

    current file   <── every settlement, until it is `_FILE_BYTES` long
    previous file  <── the current one before, until the database has all of it

Lines are never taken out one by one: a file is dropped when the database has all that was written before it grew full.
Settling twice does no harm. Used by the event loop's thread alone, which no lock then has to protect.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from seekd.accounts.journal import decode_settlements, encode_settlement
from seekd.accounts.operations import Settle

_FILE_BYTES = 256 * 1024  # about 700 settlements; both files are read at every start after a kill


class Spool:
    """The two files. `read` and `clear` before the first `add`."""

    def __init__(self, path: Path) -> None:
        """Look at nothing yet; the previous file is beside `path`."""
        self._current = path
        self._previous = path.with_suffix(".old" + path.suffix)
        self._descriptor: int | None = None
        self._num_bytes = 0
        self._previous_ends = 0

    def add(self, settlement: Settle, *, number: int, num_written: int) -> None:
        """Hand a settlement to the operating system.

        Args:
            settlement: of a free request, about to be queued.
            number: of its operation in the writer's queue.
            num_written: the number up to which the database has every operation.

        Raises:
            OSError: it is not in the file, or not whole.
        """
        if self._num_bytes > _FILE_BYTES and num_written >= self._previous_ends:
            self._rotate(number - 1)
        if self._descriptor is None:
            self._descriptor = os.open(self._current, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        line = b"\n" + encode_settlement(settlement)  # a line before it may have been cut short
        num_bytes = os.write(self._descriptor, line)
        self._num_bytes += num_bytes
        if num_bytes < len(line):
            raise OSError(f"{self._current} took only a part of a settlement")

    def _rotate(self, last_number: int) -> None:
        """Begin a new current file; the previous one is dropped, since the database has it."""
        self.close()
        self._current.replace(self._previous)
        self._previous_ends = last_number
        self._num_bytes = 0

    def read(self) -> list[Settle]:
        """What a server that died has left, committed or not."""
        return [settlement for path in (self._previous, self._current) for settlement in decode_settlements(path)]

    def clear(self) -> None:
        """Forget everything; the database has it."""
        self.close()
        for path in (self._previous, self._current):
            path.unlink(missing_ok=True)
        self._num_bytes = 0

    def close(self) -> None:
        """Give the file back, with what is in it."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
