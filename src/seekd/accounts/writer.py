"""The one thread that writes the books: many requests' operations in one transaction.

While one commit is on its way to the disk, operations gather; the next transaction takes them all. So a busy server
pays for a commit once in many requests, and an idle one waits for nobody.

What happens when a transaction fails:

- The database is away, busy or full. An operation that somebody waits for is tried again until its deadline, then
  refused with `StoreError`. A settlement or a release is tried again for ever. A settlement goes to the journal, which
  is as safe as the database, and its request waits no longer; so does one that a silent database keeps (`save`).
- The transaction itself is at fault. Its operations are tried apart, and the guilty one is refused; a settlement is
  then kept for another day, see `refused.py`.

Nothing is answered before its commit has succeeded. A commit whose answer was lost is tried again, which is safe
because every operation can be applied twice.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from seekd.accounts.claims import EndClaim
from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Settle
from seekd.accounts.refused import Refusal, RefusedSettlements
from seekd.accounts.transaction import Operation, run_batch
from seekd.errors import SeekdError, StoreError

logger = logging.getLogger(__name__)

MAX_BATCH = 256  # bounds how long the first operation of a batch waits for the last
_FIRST_RETRY_S = 0.1
_MAX_RETRY_S = 2.0

SAVED = object()
"""What a settlement's future says when a file has it and the database has not."""

Connect = Callable[[], Connection]


@dataclass(slots=True, kw_only=True)
class _Item:
    """An operation on its way.

    Attributes:
        number: its place among all that were queued, from 1.
        deadline_s: monotonic time after which nobody waits; None for what must not be lost.
        is_journaled: a settlement that is on disk already.
    """

    operation: Operation[Any]  # Any: operations of all kinds travel together
    future: asyncio.Future[Any] | None
    number: int
    deadline_s: float | None
    is_journaled: bool = False


class Writer:
    """Owns the writing connection. `submit` and `post` are called on the event loop's thread."""

    def __init__(
        self,
        connect: Connect,
        journal: Journal,
        refused: RefusedSettlements,
        *,
        owner: str,
        now_ms: Callable[[], int],
        store_timeout_s: float,
    ) -> None:
        self._connect = connect
        self._journal = journal
        self._refused = refused
        self._owner = owner
        self._now_ms = now_ms
        self._store_timeout_s = store_timeout_s
        self._num_queued = 0
        self._num_written = 0
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._connection: Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False
        self._has_journal = False
        self._is_behind = False
        self._journal_lock = threading.Lock()
        self._saved: set[str] = set()  # requests whose settlements `save` wrote and no commit has confirmed yet
        self._give_up_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="seekd-books", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to write; results arrive on `loop`."""
        self._loop = loop
        self._thread.start()

    @property
    def is_behind(self) -> bool:
        """Whether the last transaction failed and is tried again."""
        return self._is_behind

    @property
    def num_queued(self) -> int:
        """How many operations were queued so far; the next one has the number after it."""
        return self._num_queued

    @property
    def num_written(self) -> int:
        """The number up to which no operation waits to be written any more."""
        return self._num_written

    def submit(self, operation: Operation[Any], *, is_durable: bool = False) -> asyncio.Future[Any]:
        """Queue an operation whose result somebody waits for.

        Args:
            operation: is written with what else is queued.
            is_durable: it must not be lost; the future is done when it is committed. Otherwise the future fails with
                `StoreError` after the store timeout.
        """
        assert self._loop is not None
        future: asyncio.Future[Any] = self._loop.create_future()
        self.post(operation, is_durable=is_durable, future=future)
        return future

    def post(self, operation: Operation[Any], *, is_durable: bool, future: asyncio.Future[Any] | None = None) -> None:
        """The same, of an operation whose result nobody waits for, or somebody with a future of their own."""
        self._num_queued += 1
        deadline_s = None if is_durable else time.monotonic() + self._store_timeout_s
        self._queue.put(_Item(operation=operation, future=future, number=self._num_queued, deadline_s=deadline_s))

    def save(self, settlement: Settle) -> None:
        """Write a settlement that the database has not answered to the journal. Blocks; called on any thread.

        `forget_saved` follows when its future is done: the commit may have been faster.

        Raises:
            OSError: the journal cannot be written.
        """
        with self._journal_lock:
            self._journal.append([settlement])
            self._saved.add(settlement.reservation.request_id)
            self._has_journal = True

    def forget_saved(self, settlement: Settle) -> None:
        """Let the journal be cleared of what `save` wrote."""
        with self._journal_lock:
            self._saved.discard(settlement.reservation.request_id)

    def stop(self, *, give_up_after_s: float) -> None:
        """Write what is queued, then end the thread. Blocks; unwritten settlements stay in the journal."""
        self._give_up_s = time.monotonic() + give_up_after_s
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    # --- the thread

    def _run(self) -> None:
        pending: list[_Item] = []
        retry_s = 0.0
        num_taken = 0
        while True:
            self._gather(pending, retry_s)
            if not pending:
                break
            num_taken = max(num_taken, pending[-1].number)
            batch, rest = pending[:MAX_BATCH], pending[MAX_BATCH:]
            left = self._process(batch)
            self._is_behind = bool(left)
            self._forget_committed(batch, left)
            retry_s = min(_MAX_RETRY_S, max(_FIRST_RETRY_S, retry_s * 2)) if left else 0.0
            pending = left + rest
            self._num_written = min((item.number - 1 for item in pending), default=num_taken)
            self._tidy_journal(pending)
            if time.monotonic() > self._give_up_s:
                self._give_up(pending)
                break
        self._tidy_journal(pending)
        if self._connection is not None:
            self._connection.close()

    def _give_up(self, pending: list[_Item]) -> None:
        """Leave all that is queued to the journal, as far as it must not be lost."""
        with suppress(queue.Empty):
            while True:
                self._take(pending, self._queue.get_nowait())
        self._save_settlements(pending)
        self._deliver([(item, StoreError()) for item in pending])

    def _gather(self, pending: list[_Item], retry_s: float) -> None:
        """Take what is queued; wait for the first operation, or for the time to try again. Empty at the end."""
        try:
            while not pending and not self._is_stopping:
                self._take(pending, self._queue.get())
            if retry_s and not self._is_stopping:
                self._take(pending, self._queue.get(timeout=retry_s))
            while len(pending) < MAX_BATCH:
                self._take(pending, self._queue.get_nowait())
        except queue.Empty:
            pass

    def _take(self, pending: list[_Item], item: _Item | None) -> None:
        if item is None:
            self._is_stopping = True
        else:
            pending.append(item)

    def _process(self, batch: list[_Item]) -> list[_Item]:
        """Run a batch; what has to be tried again."""
        batch.sort(key=lambda item: item.operation.account_id)  # stable: an account's operations keep their order
        operations = [item.operation for item in batch]
        try:
            if self._connection is None:
                self._connection = self._connect()
            results = run_batch(self._connection, operations, now_ms=self._now_ms(), owner=self._owner)
        except TransactionFailed as error:
            failure = error
        except Exception as error:  # a bug in one operation must not end the thread that all requests need
            failure = TransactionFailed(f"{type(error).__name__}: {error}", is_away=False)
            failure.__cause__ = error
        else:
            self._deliver(list(zip(batch, results, strict=True)))
            return []
        if failure.is_away:
            return self._keep(batch, failure)
        half = len(batch) // 2
        return self._process(batch[:half]) + self._process(batch[half:]) if half else self._refuse(batch[0], failure)

    def _refuse(self, item: _Item, failure: TransactionFailed) -> list[_Item]:
        """Keep a settlement that the database refuses, and tell whoever waits; what has to be tried again."""
        logger.error("an operation of the books failed", exc_info=failure, extra={"action": "books_failed"})
        operation = item.operation
        if not isinstance(operation, Settle):
            self._deliver([(item, _store_error(failure))])
            return []
        try:
            self._refused.add([Refusal(settlement=operation, reason=str(failure))])
        except OSError:
            logger.exception("a refused settlement cannot be written down", extra={"action": "refused"})
            return [item]
        self._deliver([(item, SAVED)])
        if operation.claim is None:
            return []
        end = EndClaim(
            claim=operation.claim, answer=operation.answer, answer_expires_at_ms=operation.answer_expires_at_ms
        )
        return self._process([replace(item, operation=end, future=None)])

    def _keep(self, batch: list[_Item], failure: TransactionFailed) -> list[_Item]:
        """After the database was away: refuse what is too late, keep the rest, save settlements."""
        now_s = time.monotonic()
        late = [item for item in batch if item.deadline_s is not None and item.deadline_s <= now_s]
        kept = [item for item in batch if item.deadline_s is None or item.deadline_s > now_s]
        self._deliver([(item, _store_error(failure)) for item in late])
        self._save_settlements(kept)
        logger.warning(
            "the database of the books is away",
            extra={"action": "books_away", "reason": str(failure), "num_waiting": len(kept)},
        )
        return kept

    def _save_settlements(self, waiting: list[_Item]) -> None:
        """Write those to the journal that are not there yet; whoever waits for one waits no longer."""
        items = [item for item in waiting if isinstance(item.operation, Settle) and not item.is_journaled]
        if not items:
            return
        try:
            with self._journal_lock:
                self._journal.append([item.operation for item in items if isinstance(item.operation, Settle)])
                self._has_journal = True
        except OSError:  # the disk is full or away too: the holds in the database are what is left
            logger.exception("the journal of the books cannot be written", extra={"action": "journal"})
            return
        for item in items:
            item.is_journaled = True
        self._deliver([(item, SAVED) for item in items])

    def _forget_committed(self, batch: list[_Item], left: list[_Item]) -> None:
        if self._saved and not left:
            for item in batch:
                if isinstance(item.operation, Settle):
                    self.forget_saved(item.operation)

    def _tidy_journal(self, pending: list[_Item]) -> None:
        with self._journal_lock:
            if self._has_journal and not self._saved and not any(item.is_journaled for item in pending):
                self._journal.clear()
                self._has_journal = False

    def _deliver(self, results: Sequence[tuple[_Item, object | SeekdError]]) -> None:
        assert self._loop is not None
        waited = [(item.future, result) for item, result in results if item.future is not None]
        if waited:
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, waited)


def _resolve(results: list[tuple[asyncio.Future[Any], object | SeekdError]]) -> None:
    for future, result in results:
        if not future.done():
            if isinstance(result, SeekdError):
                future.set_exception(result)
            else:
                future.set_result(result)


def _store_error(failure: TransactionFailed) -> StoreError:
    error = StoreError()
    error.__cause__ = failure
    return error
