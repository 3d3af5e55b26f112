"""One transaction of the books: what it reads, what it changes in memory, and how that is written.

A transaction reads all that a batch of operations needs with a handful of statements, the operations change plain
objects, and `changes` is the difference, written with a handful more. The number of statements does not grow with the
number of requests in the batch, which is what makes group commit cheap, on PostgreSQL even more than on SQLite. An
operation that has to refuse does so before it changes anything, so one refusal costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from seekd.accounts.driver import Connection, Parameters, Row, Statement, Write
from seekd.accounts.pool import Grant, Pool, sorted_grants
from seekd.accounts.statements import sql
from seekd.accounts.types import Charge, Price, Reservation, Usage
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
class Needs:
    """What an operation looks at; empty is nothing.

    Attributes:
        account_id: whose money.
        hold_id: of the running request.
        charge_id: of the request that may have been charged before.
        key_id: of the key that must work.
    """

    account_id: str = ""
    hold_id: str = ""
    charge_id: str = ""
    key_id: str = ""


class Operation(Protocol[ResultT]):
    """One change of the books, which may be applied again after a failed commit."""

    @property
    def account_id(self) -> str:
        """Whose books change; operations are sorted by it so that locks are taken in one order."""

    @property
    def needs(self) -> Needs:
        """What `apply` will look at."""

    def apply(self, transaction: Transaction) -> ResultT:
        """Make the change. A `SeekdError` must be raised before anything has changed."""


class Transaction:
    """The state of one transaction. Used by the thread that owns the connection.

    Attributes:
        holds: running requests by id.
        working_keys: ids of keys that were neither revoked nor have expired.
        charges: of requests that were settled before, by request id.
    """

    def __init__(self, connection: Connection, needs: Sequence[Needs], *, now_ms: int, owner: str) -> None:
        """Read what the operations need: first the balances, whose locks keep all that follows true."""
        self.connection = connection
        self.now_ms = now_ms
        self.owner = owner
        self._new_holds: dict[str, dict[str, object]] = {}
        self._gone_holds: list[dict[str, object]] = []
        self._usage: dict[str, dict[str, object]] = {}
        self._new_grants: list[dict[str, object]] = []
        account_ids = sorted({one.account_id for one in needs} - {""})
        hold_ids = list({one.hold_id for one in needs} - {""})
        key_ids = list({one.key_id for one in needs} - {""})
        queries: list[tuple[Statement, Parameters]] = []
        if account_ids:
            queries.append((sql["lock_pools"], {"account_ids": account_ids}))
            queries.append((sql["grants_left"], {"account_ids": account_ids}))
        if hold_ids:
            queries.append((sql["find_holds"], {"request_ids": hold_ids}))
        if key_ids:
            queries.append((sql["working_keys"], {"ids": key_ids, "now_ms": now_ms}))
        found = iter(connection.rows_together(queries))
        pools = pools_of(next(found), next(found)) if account_ids else []
        self._pools = {(pool.account_id, pool.currency): pool for pool in pools}
        self.holds: dict[str, Hold] = {row[0]: _hold(row) for row in next(found)} if hold_ids else {}
        self.working_keys: set[str] = {row[0] for row in next(found)} if key_ids else set()
        unknown = list({one.charge_id for one in needs} - {""} - self.holds.keys())
        rows = connection.rows(sql["find_usage"], {"request_ids": unknown}) if unknown else []
        self.charges: dict[str, Charge] = {row[0]: _charge(row) for row in rows}

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
        request_id = reservation.request_id
        self.holds[request_id] = Hold(reservation=reservation, owner=self.owner, progress=progress)
        self._new_holds[request_id] = {
            "request_id": request_id,
            "account_id": reservation.account_id,
            "key_id": reservation.key_id,
            "model": reservation.model,
            "currency": reservation.currency,
            "held_micros": reservation.held_micros,
            "hit_micros": reservation.price.hit_micros,
            "miss_micros": reservation.price.miss_micros,
            "output_micros": reservation.price.output_micros,
            "is_retry_safe": int(reservation.is_retry_safe),
            "reserved_at_ms": reservation.reserved_at_ms,
            "owner": self.owner,
            "progress": None if progress is None else msgspec.json.encode(progress).decode(),
        }

    def remove_hold(self, request_id: str) -> None:
        """Strike out a running request."""
        del self.holds[request_id]
        if self._new_holds.pop(request_id, None) is None:
            self._gone_holds.append({"request_id": request_id})

    def add_usage(self, reservation: Reservation, usage: Usage, charge: Charge) -> None:
        """Write down what a request used and what it cost."""
        self.charges[charge.request_id] = charge
        self._usage[charge.request_id] = {
            "request_id": charge.request_id,
            "account_id": reservation.account_id,
            "key_id": reservation.key_id,
            "model": reservation.model,
            "at_ms": self.now_ms,
            "outcome": usage.outcome.value,
            "is_error": int(usage.is_error),
            "is_recovered": int(charge.is_recovered),
            "num_hit_tokens": usage.num_hit_tokens,
            "num_miss_tokens": usage.num_miss_tokens,
            "num_completion_tokens": usage.num_completion_tokens,
            "num_reasoning_tokens": usage.num_reasoning_tokens,
            "currency": charge.currency,
            "cost_micros": charge.cost_micros,
            "granted_micros": charge.granted_micros,
            "topped_up_micros": charge.topped_up_micros,
            "uncollected_micros": charge.uncollected_micros,
            "first_token_ms": usage.first_token_ms,
            "latency_ms": usage.latency_ms,
        }

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
            (sql["insert_hold"], list(self._new_holds.values())),
            (sql["delete_hold"], self._gone_holds),
            (sql["insert_grant"], self._new_grants),
            (
                sql["insert_ledger"],
                [
                    {
                        "account_id": pool.account_id,
                        "currency": pool.currency,
                        "seq": transfer.seq,
                        "kind": transfer.kind,
                        "source": transfer.source,
                        "target": transfer.target,
                        "micros": transfer.micros,
                        "reference": transfer.reference,
                        "at_ms": transfer.at_ms,
                        "digest": transfer.digest,
                    }
                    for pool in changed
                    for transfer in pool.transfers
                ],
            ),
            (
                sql["update_grant"],
                [
                    {"id": grant.id, "remaining_micros": grant.remaining_micros}
                    for pool in changed
                    for grant in pool.spent_grants.values()
                ],
            ),
            (
                sql["update_pool"],
                [
                    {
                        "account_id": pool.account_id,
                        "currency": pool.currency,
                        "topped_up_micros": pool.topped_up_micros,
                        "granted_micros": pool.granted_micros,
                        "held_micros": pool.held_micros,
                        "last_seq": pool.last_seq,
                        "last_digest": pool.last_digest,
                    }
                    for pool in changed
                ],
            ),
            (sql["insert_usage"], list(self._usage.values())),
        ]
        return [(command, parameters) for command, parameters in writes if parameters]


def run_batch(
    connection: Connection, operations: Sequence[Operation[object]], *, now_ms: int, owner: str
) -> list[object | SeekdError]:
    """Run operations in one transaction, in their order for each account.

    Returns:
        Of each operation its result, or the error that refused it.

    Raises:
        TransactionFailed: nothing counts as done.
    """
    results: list[object | SeekdError] = []
    connection.begin()
    try:
        needs = [operation.needs for operation in operations]
        transaction = Transaction(connection, needs, now_ms=now_ms, owner=owner)
        for operation in operations:
            try:
                results.append(operation.apply(transaction))
            except SeekdError as error:
                results.append(error)
        connection.commit(transaction.changes())
    except BaseException:
        connection.rollback()
        raise
    return results


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
        progress=None if row[12] is None else msgspec.json.decode(row[12], type=Usage),
    )


def _charge(row: Row) -> Charge:
    return Charge(
        request_id=row[0],
        currency=row[1],
        cost_micros=row[2],
        granted_micros=row[3],
        topped_up_micros=row[4],
        uncollected_micros=row[5],
        is_recovered=bool(row[6]),
    )
