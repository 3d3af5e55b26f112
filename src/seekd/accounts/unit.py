"""One transaction of the books: what it read, what it changed in memory, and how that is written.

A unit loads everything that a batch of operations needs with a handful of statements, the operations change plain
objects, and `changes` is the difference, written with a handful more. The number of statements does not grow with the
number of requests in the batch, which is what makes group commit cheap, on PostgreSQL even more than on SQLite. An
operation that has to refuse does so before it changes anything, so one refusal costs the others nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Generic, Protocol, TypeVar

from seekd.accounts.driver import Connection, Parameters, Row, Statement, Write
from seekd.accounts.pool import Grant, Pool, Transfer, sorted_grants
from seekd.accounts.statements import sql
from seekd.accounts.types import Price, Reservation, Usage
from seekd.errors import SeekdError

ResultT = TypeVar("ResultT", covariant=True)
PoolKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A running request as the database knows it."""

    reservation: Reservation
    owner: str
    progress: Usage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastUsage:
    """A request that was settled before."""

    currency: str
    cost_micros: int
    granted_micros: int
    topped_up_micros: int
    uncollected_micros: int
    is_recovered: bool


@dataclass(slots=True)
class Needs:
    """What a batch will look at."""

    account_ids: set[str] = field(default_factory=set)
    request_ids: set[str] = field(default_factory=set)
    settled_ids: set[str] = field(default_factory=set)
    key_ids: set[str] = field(default_factory=set)


class Operation(Protocol[ResultT]):
    """One change of the books, which may be applied again after a failed commit."""

    @property
    def account_id(self) -> str:
        """Whose books change; operations are sorted by it so that locks are taken in one order."""

    def declare(self, needs: Needs) -> None:
        """Add what `apply` will look at."""

    def apply(self, unit: Unit) -> ResultT:
        """Make the change. A `SeekdError` must be raised before anything has changed."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[ResultT]):
    """What became of one operation: a result, or the error that refused it."""

    result: ResultT | None = None
    error: SeekdError | None = None


class Unit:
    """The state of one transaction. Used by the thread that owns the connection."""

    def __init__(self, connection: Connection, *, now_ms: int, owner: str) -> None:
        self.connection = connection
        self.now_ms = now_ms
        self.owner = owner
        self.holds: dict[str, Hold] = {}
        self.working_keys: set[str] = set()
        self.past_usage: dict[str, PastUsage] = {}
        self._pools: dict[PoolKey, Pool] = {}
        self._new_holds: dict[str, Hold] = {}
        self._gone_holds: list[str] = []
        self._usage: dict[str, dict[str, object]] = {}
        self._new_grants: list[dict[str, object]] = []

    def load(self, needs: Needs) -> None:
        """Read what the operations declared: first the balances, whose locks keep all that follows true."""
        account_ids = {"account_ids": sorted(needs.account_ids)}
        queries: dict[str, tuple[Statement, Parameters]] = {}
        if needs.account_ids:
            queries["pools"] = (sql["lock_pools"], account_ids)
            queries["grants"] = (sql["grants_left"], account_ids)
        if needs.request_ids:
            queries["holds"] = (sql["find_holds"], {"request_ids": list(needs.request_ids)})
        if needs.key_ids:
            queries["keys"] = (sql["working_keys"], {"ids": list(needs.key_ids), "now_ms": self.now_ms})
        found = dict(zip(queries, self.connection.rows_together(list(queries.values())), strict=True))
        pools = pools_of(found.get("pools", ()), found.get("grants", ()))
        self._pools = {(pool.account_id, pool.currency): pool for pool in pools}
        self.holds = {row[0]: _hold(row) for row in found.get("holds", ())}
        self.working_keys = {row[0] for row in found.get("keys", ())}
        unknown = [request_id for request_id in needs.settled_ids if request_id not in self.holds]
        if unknown:
            rows = self.connection.rows(sql["find_usage"], {"request_ids": unknown})
            self.past_usage = {row[0]: _past_usage(row) for row in rows}

    def pool(self, account_id: str, currency: str) -> Pool | None:
        """The account's money in a currency, without what has expired; None when it never had any."""
        pool = self._pools.get((account_id, currency))
        if pool is not None:
            pool.expire(self.now_ms)
        return pool

    def create_pool(self, account_id: str, currency: str) -> Pool:
        """The same, made when it does not exist yet."""
        pool = self.pool(account_id, currency)
        if pool is None:
            self.connection.run(
                sql["create_pool"], {"account_id": account_id, "currency": currency, "last_digest": b""}
            )
            wanted = {"account_ids": [account_id]}
            pools = pools_of(
                *self.connection.rows_together([(sql["lock_pools"], wanted), (sql["grants_left"], wanted)])
            )
            pool = next(pool for pool in pools if pool.currency == currency)
            self._pools[account_id, currency] = pool
        return pool

    def add_hold(self, reservation: Reservation, *, progress: Usage | None = None) -> None:
        """Write down a running request, and what it has used so far."""
        hold = Hold(reservation=reservation, owner=self.owner, progress=progress)
        self.holds[reservation.request_id] = self._new_holds[reservation.request_id] = hold

    def remove_hold(self, request_id: str) -> None:
        """Strike out a running request."""
        del self.holds[request_id]
        if self._new_holds.pop(request_id, None) is None:
            self._gone_holds.append(request_id)

    def add_usage(self, request_id: str, row: dict[str, object], past: PastUsage) -> None:
        """Write down what a request used."""
        self._usage[request_id] = row
        self.past_usage[request_id] = past

    def add_grant(self, pool: Pool, grant: Grant) -> None:
        """Give balance."""
        micros = grant.remaining_micros
        pool.add_grant(grant, at_ms=self.now_ms)
        self._new_grants.append(
            {
                "id": grant.id,
                "account_id": pool.account_id,
                "currency": pool.currency,
                "granted_micros": micros,
                "remaining_micros": micros,
                "created_at_ms": self.now_ms,
                "expires_at_ms": grant.expires_at_ms,
            }
        )

    def changes(self) -> list[Write]:
        """What has to be written."""
        changed = [pool for pool in self._pools.values() if pool.is_changed]
        writes: list[Write] = [
            (sql["insert_hold"], [_hold_row(hold) for hold in self._new_holds.values()]),
            (sql["delete_hold"], [{"request_id": request_id} for request_id in self._gone_holds]),
            (sql["insert_grant"], self._new_grants),
            (sql["insert_ledger"], [row for pool in changed for row in _ledger_rows(pool)]),
            (
                sql["update_grant"],
                [
                    {"id": grant.id, "remaining_micros": grant.remaining_micros}
                    for pool in changed
                    for grant in pool.spent_grants.values()
                ],
            ),
            (sql["update_pool"], [_pool_row(pool) for pool in changed]),
            (sql["insert_usage"], list(self._usage.values())),
        ]
        return [(command, parameters) for command, parameters in writes if parameters]


def run_batch(
    connection: Connection, operations: Iterable[Operation[object]], *, now_ms: int, owner: str
) -> list[Outcome[object]]:
    """Run operations in one transaction, in their order for each account; the outcomes in the order given.

    Raises:
        TransactionFailed: nothing counts as done.
    """
    batch = list(operations)
    needs = Needs()
    for operation in batch:
        operation.declare(needs)
    outcomes: list[Outcome[object]] = [Outcome()] * len(batch)
    connection.begin()
    try:
        unit = Unit(connection, now_ms=now_ms, owner=owner)
        unit.load(needs)
        for index, operation in enumerate(batch):
            try:
                outcomes[index] = Outcome(result=operation.apply(unit))
            except SeekdError as error:
                outcomes[index] = Outcome(error=error)
        connection.commit(unit.changes())
    except BaseException:
        connection.rollback()
        raise
    return outcomes


def pools_of(pool_rows: Iterable[Row], grant_rows: Iterable[Row]) -> list[Pool]:
    """Pools with what is left of their grants."""
    pools = {
        (row[0], row[1]): Pool(
            account_id=row[0],
            currency=row[1],
            topped_up_micros=row[2],
            held_micros=row[4],
            last_seq=row[5],
            last_digest=bytes(row[6]),
        )
        for row in pool_rows
    }
    for account_id, currency, grant_id, remaining, expires_at_ms in grant_rows:
        pool = pools.get((account_id, currency))
        if pool is not None:
            pool.grants.append(Grant(id=grant_id, remaining_micros=remaining, expires_at_ms=expires_at_ms))
    for pool in pools.values():
        pool.grants = sorted_grants(pool.grants)
    return list(pools.values())


def ledger_digest(previous: bytes, seq: int, transfer: Transfer) -> bytes:
    """SHA-256 over a ledger row and the digest of the row before it, which makes a change of any row visible."""
    text = json.dumps(
        [
            seq,
            transfer.kind,
            transfer.source,
            transfer.target,
            transfer.micros,
            transfer.reference,
            transfer.at_ms,
        ],
        separators=(",", ":"),
    )
    return hashlib.sha256(previous + text.encode()).digest()


def _ledger_rows(pool: Pool) -> Iterable[dict[str, object]]:
    for transfer in pool.transfers:
        pool.last_seq += 1
        pool.last_digest = ledger_digest(pool.last_digest, pool.last_seq, transfer)
        yield {
            "account_id": pool.account_id,
            "currency": pool.currency,
            "seq": pool.last_seq,
            "kind": transfer.kind,
            "source": transfer.source,
            "target": transfer.target,
            "micros": transfer.micros,
            "reference": transfer.reference,
            "at_ms": transfer.at_ms,
            "digest": pool.last_digest,
        }


def _pool_row(pool: Pool) -> dict[str, object]:
    return {
        "account_id": pool.account_id,
        "currency": pool.currency,
        "topped_up_micros": pool.topped_up_micros,
        "granted_micros": pool.granted_micros,
        "held_micros": pool.held_micros,
        "last_seq": pool.last_seq,
        "last_digest": pool.last_digest,
    }


def _hold_row(hold: Hold) -> dict[str, object]:
    held = hold.reservation
    return {
        "request_id": held.request_id,
        "account_id": held.account_id,
        "key_id": held.key_id,
        "model": held.model,
        "currency": held.currency,
        "held_micros": held.held_micros,
        "hit_micros": held.price.hit_micros,
        "miss_micros": held.price.miss_micros,
        "output_micros": held.price.output_micros,
        "is_retry_safe": int(held.is_retry_safe),
        "reserved_at_ms": held.reserved_at_ms,
        "owner": hold.owner,
        "progress": None if hold.progress is None else json.dumps(asdict(hold.progress)),
    }


def _hold(row: Row) -> Hold:
    return Hold(
        reservation=Reservation(
            request_id=row[0],
            account_id=row[1],
            key_id=row[2],
            model=row[3],
            currency=row[4],
            held_micros=row[5],
            price=Price(hit_micros=row[6], miss_micros=row[7], output_micros=row[8]),
            is_retry_safe=bool(row[9]),
            reserved_at_ms=row[10],
        ),
        owner=row[11],
        progress=None if row[12] is None else Usage(**json.loads(row[12])),
    )


def _past_usage(row: Row) -> PastUsage:
    return PastUsage(
        currency=row[1],
        cost_micros=row[2],
        granted_micros=row[3],
        topped_up_micros=row[4],
        uncollected_micros=row[5],
        is_recovered=bool(row[6]),
    )
