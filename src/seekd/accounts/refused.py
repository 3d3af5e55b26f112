"""Settlements that the database refuses as wrong in themselves, kept apart until it takes them.

A row that should not be there, a constraint or a trigger can refuse one settlement whenever it is tried. Its request
was answered, so it is not dropped: it goes to a file of its own, where it is in nobody's way and outlives the process,
and keeps its hold, so that the money is still there when somebody has repaired the books. It is tried again at each
start and now and then; who runs the server sees it in `/healthz` and `seekd ledger verify`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.operations import Settle
from seekd.accounts.statements import sql
from seekd.accounts.transaction import Operation, run_batch
from seekd.accounts.types import Reservation, Usage

logger = logging.getLogger(__name__)

_BATCH = 256
_RETRY_S = 600.0  # each costs a transaction; who has repaired the books and cannot wait starts the server again
_decoder = msgspec.json.Decoder(tuple[Reservation, Usage, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A settlement and what the database says of it."""

    settlement: Settle
    reason: str

    @property
    def request_id(self) -> str:
        """Of the request that was answered."""
        return self.settlement.reservation.request_id


class RefusedSettlements:
    """The file: one JSON object a line. May be used by several threads of one process."""

    def __init__(self, path: Path) -> None:
        """Look at nothing yet."""
        self.path = path
        self._lock = threading.Lock()
        self._request_ids: set[str] | None = None

    @property
    def num(self) -> int:
        """How many there are."""
        if self._request_ids is None:
            self._request_ids = {refusal.request_id for refusal in self.read()}
        return len(self._request_ids)

    def read(self) -> list[Refusal]:
        """All, each request once."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        refusals: dict[str, Refusal] = {}
        for line in lines:
            with suppress(ValueError):  # cut short by a crash: then it is still where it came from
                reservation, usage, reason = _decoder.decode(line)
                settlement = Settle(reservation=reservation, usage=usage)
                refusals[reservation.request_id] = Refusal(settlement=settlement, reason=reason)
        return list(refusals.values())

    def add(self, refusals: Collection[Refusal]) -> None:
        """Write some down; on disk when this returns. Raises `OSError`."""
        with self._lock:
            # A line before them may have been cut short.
            _write(self.path, os.O_APPEND, b"\n" + b"".join(_line(refusal) for refusal in refusals))
            self._request_ids = None

    def remove(self, request_ids: Collection[str]) -> None:
        """Forget those of some requests; the database has them. Raises `OSError`."""
        with self._lock:
            left = [refusal for refusal in self.read() if refusal.request_id not in request_ids]
            draft = self.path.with_suffix(".new")
            _write(draft, os.O_TRUNC, b"".join(_line(refusal) for refusal in left))
            draft.replace(self.path)
            if not left:
                self.path.unlink()
            self._request_ids = None


def _line(refusal: Refusal) -> bytes:
    settlement = refusal.settlement
    return msgspec.json.encode((settlement.reservation, settlement.usage, refusal.reason)) + b"\n"


def _write(path: Path, mode: int, content: bytes) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | mode, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


class SettlementFile(Protocol):
    """What a dead server left: the journal, the spool."""

    def read(self) -> list[Settle]:
        """Every settlement, in the database already or not."""

    def clear(self) -> None:
        """Forget them."""


def settle_saved(
    connection: Connection,
    refused: RefusedSettlements,
    files: Sequence[SettlementFile] = (),
    *,
    owner: str,
    now_ms: Callable[[], int],
) -> int:
    """Settle what waits in files, each request once, and keep what is refused with its hold.

    Args:
        connection: used by nobody else meanwhile.
        refused: tried again, and takes what is refused now.
        files: emptied.
        owner: the server that takes over the holds of refused settlements.
        now_ms: milliseconds since 1970.

    Returns:
        How many the database did not have yet and has now.

    Raises:
        TransactionFailed: the database is away; what was not settled stays where it is.
        OSError: a refused settlement cannot be written down; it stays where it is.
    """
    kept = {refusal.request_id: refusal.settlement for refusal in refused.read()}
    waiting = kept | {item.reservation.request_id: item for file in files for item in file.read()}
    settlements = list(waiting.values())
    num_settled, refusals = 0, []
    for start in range(0, len(settlements), _BATCH):
        missing = _missing(connection, settlements[start : start + _BATCH])
        outcomes = run_each(connection, missing, now_ms=now_ms(), owner=owner)
        now_refused = [
            Refusal(settlement=settlement, reason=str(outcome))
            for settlement, outcome in zip(missing, outcomes, strict=True)
            if isinstance(outcome, TransactionFailed)
        ]
        num_settled += len(missing) - len(now_refused)
        refusals += now_refused
    still = [refusal.request_id for refusal in refusals]
    if still:
        connection.run(sql["take_holds"], {"owner": owner, "request_ids": still})
        logger.error(
            "the database refuses settlements", extra={"action": "settlements_refused", "num_refused": len(still)}
        )
    if new := [refusal for refusal in refusals if refusal.request_id not in kept]:
        refused.add(new)
    if gone := kept.keys() - set(still):
        refused.remove(gone)
    for file in files:
        file.clear()
    return num_settled


def run_each(
    connection: Connection, operations: Sequence[Operation[object]], *, now_ms: int, owner: str
) -> list[object | TransactionFailed]:
    """Run operations together where that works, and those that the database refuses apart from the others.

    Raises:
        TransactionFailed: the database is away.
    """
    if not operations:
        return []
    try:
        return list(run_batch(connection, operations, now_ms=now_ms, owner=owner))
    except TransactionFailed as error:
        if error.is_away:
            raise
        failure = error
    except Exception as error:  # a bug that one of them meets must not keep a server from starting
        failure = TransactionFailed(f"{type(error).__name__}: {error}", is_away=False)
    if len(operations) == 1:
        return [failure]
    half = len(operations) // 2
    return [
        outcome
        for part in (operations[:half], operations[half:])
        for outcome in run_each(connection, part, now_ms=now_ms, owner=owner)
    ]


async def keep_trying(
    refused: RefusedSettlements,
    connect: Callable[[], Connection],
    *,
    owner: str,
    now_ms: Callable[[], int],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Try what was refused again, now and then. Runs until it is cancelled."""

    def retry() -> None:
        connection = connect()
        try:
            settle_saved(connection, refused, owner=owner, now_ms=now_ms)
        finally:
            connection.close()

    while True:
        await sleep(_RETRY_S)
        if refused.num:
            try:
                await asyncio.to_thread(retry)
            except (TransactionFailed, OSError) as failure:
                logger.warning(
                    "refused settlements cannot be tried again", extra={"action": "refused", "reason": str(failure)}
                )


def _missing(connection: Connection, settlements: Sequence[Settle]) -> list[Settle]:
    """Those that the database does not have yet; what a recovery wrote in their place is corrected by them."""
    request_ids = [settlement.reservation.request_id for settlement in settlements]
    rows = connection.rows(sql["find_usage"], {"request_ids": request_ids})
    settled = {row[0] for row in rows if not row[6]}
    return [settlement for settlement in settlements if settlement.reservation.request_id not in settled]
