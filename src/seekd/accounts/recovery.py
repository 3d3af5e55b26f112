"""What a server does about requests that died with their server.

Room: accounts. May import: accounts.driver, journal, operations, spool, statements, unit.

The rule, in this order:
1. Settlements in the journal and in the spool were answered, and are charged in full.
2. A request whose server is dead is charged for the usage that its hold last noted. One that noted nothing, or carries
   an idempotency key, is charged nothing. An answer that was completed had been settled before its last byte was sent.
3. Idempotency keys of dead servers are free again.

On SQLite a server holds a lock on the data directory, so at its start every other server is dead. On PostgreSQL a
server is dead when it was not seen for the length of a lease.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from seekd.accounts import statements as sql
from seekd.accounts.driver import Connection
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Recover, Settle
from seekd.accounts.spool import Spool
from seekd.accounts.types import Charge
from seekd.accounts.unit import run_batch

_BATCH = 256
_KEPT_OWNER_LEASES = 10  # a dead server's row is kept for a while, for people who look


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a recovery found.

    Attributes:
        num_settled: settlements that were in a file and not yet in the database.
        num_charged: requests that were charged for what their hold had noted.
        num_released: requests that were charged nothing.
    """

    num_settled: int
    num_charged: int
    num_released: int


def recover(
    connection: Connection,
    *,
    owner: str,
    now_ms: Callable[[], int],
    lease_ms: int | None,
    journal: Journal | None = None,
    spool: Spool | None = None,
) -> Recovered:
    """End what dead servers left behind.

    Args:
        connection: used by nobody else meanwhile.
        owner: the server that recovers; its own requests are left alone.
        now_ms: milliseconds since 1970.
        lease_ms: how long a server may be silent; None when every other server is known to be dead.
        journal: of this data directory; None leaves it alone.
        spool: of this data directory; None leaves it alone.

    Raises:
        TransactionFailed: what was not done yet is done by the next recovery.
    """
    files = [file for file in (journal, spool) if file is not None]
    settlements = [settlement for file in files for settlement in file.read()]
    num_settled = 0
    for start in range(0, len(settlements), _BATCH):
        missing = _missing(connection, settlements[start : start + _BATCH])
        run_batch(connection, missing, now_ms=now_ms(), owner=owner)
        num_settled += len(missing)
    for file in files:
        file.clear()
    alive_since_ms = 2**62 if lease_ms is None else now_ms() - lease_ms
    others = {"owner": owner, "alive_since_ms": alive_since_ms}
    dead = iter(connection.rows(sql.HOLDS_OF_OTHERS, others))
    charges: list[Charge] = []
    while rows := list(islice(dead, _BATCH)):
        rows.sort(key=lambda row: row[1])
        outcomes = run_batch(
            connection,
            [Recover(request_id=request_id, account_id=account_id) for request_id, account_id in rows],
            now_ms=now_ms(),
            owner=owner,
        )
        charges += [outcome.result for outcome in outcomes if isinstance(outcome.result, Charge)]
    connection.run(sql.FORGET_DEAD_CLAIMS, others)
    connection.run(sql.FORGET_CLAIMS, {"now_ms": now_ms()})
    if lease_ms is not None:
        connection.run(sql.FORGET_OWNERS, {"before_ms": now_ms() - _KEPT_OWNER_LEASES * lease_ms})
    num_charged = sum(charge.cost_micros > 0 for charge in charges)
    return Recovered(num_settled=num_settled, num_charged=num_charged, num_released=len(charges) - num_charged)


def _missing(connection: Connection, settlements: Sequence[Settle]) -> list[Settle]:
    """Those that the database does not have yet; what a recovery wrote in their place is corrected by them."""
    request_ids = [settlement.reservation.request_id for settlement in settlements]
    rows = connection.rows(sql.USAGE, {"request_ids": request_ids})
    settled = {row[0] for row in rows if not row[6]}
    return [settlement for settlement in settlements if settlement.reservation.request_id not in settled]
