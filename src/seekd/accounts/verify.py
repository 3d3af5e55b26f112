"""Proves that the ledger and the balances tell the same story.

For each account and currency the ledger is replayed from its first row:
- the rows are numbered without a gap, up to the number that the pool remembers;
- each row's digest follows from the row and the digest before it, up to the one that the pool remembers, so that no
  row can be changed, removed or put in without all that follow;
- the books that it arrives at are the topped-up balance and the rest of each grant; no book is ever below zero;
- the money that came in is the money that is there, was charged, or has expired;
- what is held is the sum of the holds of running requests;
- each request's charges in the ledger are the cost in its usage row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from seekd.accounts.driver import Connection, Row, TransactionFailed
from seekd.accounts.pool import EXPIRED, GIFTS, GRANT_PREFIX, PAYMENTS, REVENUE, TOPPED_UP, ledger_digest
from seekd.accounts.statements import sql
from seekd.errors import StoreError

_OUTSIDE = frozenset({PAYMENTS, GIFTS, REVENUE, EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a check of the books found.

    Attributes:
        num_pools: balances that were checked.
        num_rows: ledger rows that were replayed.
        problems: one sentence each; empty when everything agrees.
    """

    num_pools: int
    num_rows: int
    problems: tuple[str, ...]


def verify_ledger(connection: Connection) -> Verification:
    """Replay the ledger. Reads one state of the books, also while a server writes. Raises `StoreError`."""
    try:
        connection.begin_reading()
        stray = connection.rows(sql["ledger_without_pool"])
        problems = [f"{row[0]} {row[1]}: the ledger has rows, but there is no balance" for row in stray]
        pools = connection.rows(sql["all_pools"])
        num_rows = 0
        for pool in pools:
            replay = _Replay()
            problems += [f"{pool[0]} {pool[1]}: {problem}" for problem in _check(connection, pool, replay)]
            num_rows += replay.last_seq
    except TransactionFailed as failure:
        raise StoreError("The ledger could not be read.", reason=str(failure)) from failure
    finally:
        connection.rollback()
    return Verification(num_pools=len(pools), num_rows=num_rows, problems=tuple(problems))


class _Replay:
    """The books of one pool while its rows are replayed."""

    def __init__(self) -> None:
        self.books: defaultdict[str, int] = defaultdict(int)
        self.charges: defaultdict[str, int] = defaultdict(int)
        self.last_seq = 0
        self.last_digest = b""

    def apply(self, row: Row) -> Iterator[str]:
        """Replay one row; what is wrong with it."""
        seq, kind, source, target, micros, reference, _, digest = row
        if seq != self.last_seq + 1:
            yield f"row {self.last_seq + 1} is missing"
        if bytes(digest) != ledger_digest(self.last_digest, row[:7]):
            yield f"row {seq} was changed, or one before it is missing"
        self.last_seq, self.last_digest = seq, bytes(digest)
        self.books[source] -= micros
        self.books[target] += micros
        if source not in _OUTSIDE and self.books[source] < 0:
            yield f"row {seq} takes more from {source} than it has"
        if kind == "charge":
            self.charges[reference] += micros


def _check(connection: Connection, pool: Row, replay: _Replay) -> Iterator[str]:
    account_id, currency, topped_up, granted, held, last_seq, last_digest = pool
    name = {"account_id": account_id, "currency": currency}
    for row in connection.stream(sql["ledger_of_pool"], name):
        yield from replay.apply(row)
    if (replay.last_seq, replay.last_digest) != (last_seq, bytes(last_digest)):
        yield f"the ledger ends with row {replay.last_seq}, the balance remembers row {last_seq}, or another digest"
    if replay.books[TOPPED_UP] != topped_up:
        yield f"topped-up balance is {topped_up}, the ledger replays to {replay.books[TOPPED_UP]}"
    grants = {
        GRANT_PREFIX + grant_id: remaining for grant_id, remaining in connection.rows(sql["grants_of_pool"], name)
    }
    replayed = {book: micros for book, micros in replay.books.items() if book.startswith(GRANT_PREFIX)}
    for book in sorted(grants.keys() | replayed.keys()):
        if grants.get(book, 0) != replayed.get(book, 0):
            yield f"{book} has {grants.get(book, 0)}, the ledger replays to {replayed.get(book, 0)}"
    if sum(grants.values()) != granted:
        yield f"granted balance is {granted}, the grants add up to {sum(grants.values())}"
    if sum(replay.books.values()) != 0:
        yield "the ledger does not balance"
    sum_held = int(connection.rows(sql["held_of_pool"], name)[0][0])
    if sum_held != held or held > topped_up + granted:
        yield f"{held} are held, running requests hold {sum_held}, the balance is {topped_up + granted}"
    used: dict[str, int] = {row[0]: row[1] for row in connection.rows(sql["charges_of_pool"], name)}
    for request_id in sorted(used.keys() | replay.charges.keys()):
        if used.get(request_id, 0) != replay.charges.get(request_id, 0):
            yield (
                f"request {request_id} cost {used.get(request_id, 0)}, "
                f"the ledger charges {replay.charges.get(request_id, 0)}"
            )
