"""Who changed accounts and keys, when and how: a file that is only ever added to.

One JSON object a line in `audit.jsonl` in the data directory, mode 0600. An entry is on disk before its change is made,
so that there is no change without one; where the change then fails, a second entry says so. No key is ever in it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from seekd.accounts.instants import format_instant
from seekd.errors import StoreError

Outcome = Literal["done", "failed"]


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change.

    Attributes:
        at: ISO date-time in UTC.
        actor: `admin token from ADDRESS`, or `command line, user NAME`.
        action: such as `key.create`.
        target: the id of what was changed.
        details: what was set; amounts in micro-units.
        request_id: of the admin request; empty for the command line.
        outcome: `failed` follows a `done` whose change could not be made after all.
    """

    at: str
    actor: str
    action: str
    target: str
    details: Mapping[str, object]
    request_id: str = ""
    outcome: Outcome = "done"


class AuditTrail:
    """Writes entries for one actor. Several processes may write the same file at once.

    Args:
        path: of the file.
        actor: who acts.
        request_id: in whose course; empty for none.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, *, actor: str, request_id: str = "", clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._actor = actor
        self._request_id = request_id
        self._clock = clock

    @contextlib.contextmanager
    def change(self, action: str, *, target: str, **details: object) -> Iterator[None]:
        """Write an entry, then make the change in the block.

        Raises:
            StoreError: the entry cannot be written; nothing was changed.
        """
        given = {name: value for name, value in details.items() if value is not None}
        self._write(action, target, given, "done")
        try:
            yield
        except BaseException:
            with contextlib.suppress(StoreError):  # the change's own error says more
                self._write(action, target, given, "failed")
            raise

    def _write(self, action: str, target: str, details: Mapping[str, object], outcome: Outcome) -> None:
        entry = AuditEntry(
            at=format_instant(int(self._clock() * 1000)) or "",
            actor=self._actor,
            action=action,
            target=target,
            details=details,
            request_id=self._request_id,
            outcome=outcome,
        )
        line = msgspec.json.encode(entry) + b"\n"
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
            try:
                size = os.fstat(descriptor).st_size
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    line = b"\n" + line  # the last one was cut short by a full disk, and must not spoil this one
                if os.write(descriptor, line) < len(line):
                    raise OSError("the disk is full")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreError(f"The audit log cannot be written, so nothing was changed: {error}.") from error


def read_audit(path: Path, *, limit: int | None = None) -> list[AuditEntry]:
    """The entries of a file, the latest first; none where nothing was ever changed.

    Args:
        path: of the file.
        limit: the most; None for all.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"The audit log cannot be read: {error}.") from error
    entries: list[AuditEntry] = []
    for line in reversed(lines):
        if limit is not None and len(entries) >= limit:
            break
        with contextlib.suppress(msgspec.DecodeError):  # cut short by a full disk
            entries.append(msgspec.json.decode(line, type=AuditEntry))
    return entries
