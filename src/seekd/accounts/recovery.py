"""What a server does about requests that died with their server.

The rule, in this order:
1. Settlements in the journal, in the spool and among the refused ones were answered, and are charged in full.
2. A request whose server is dead is charged for the usage that its hold last noted. One that noted nothing, or carries
   an idempotency key, is charged nothing. An answer that was completed had been settled before its last byte was sent.
3. Idempotency keys of dead servers are free again.

On SQLite a server holds a lock on the data directory, so at its start every other server is dead. On PostgreSQL a
server is dead when it was not seen for the length of a lease.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Recover
from seekd.accounts.refused import RefusedSettlements, run_each, settle_saved
from seekd.accounts.spool import Spool
from seekd.accounts.statements import sql
from seekd.accounts.types import Charge

logger = logging.getLogger(__name__)

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
    refused: RefusedSettlements | None = None,
) -> Recovered:
    """End what dead servers left behind.

    Args:
        connection: used by nobody else meanwhile.
        owner: the server that recovers; its own requests are left alone.
        now_ms: milliseconds since 1970.
        lease_ms: how long a server may be silent; None when every other server is known to be dead.
        journal: of this data directory; None leaves it alone.
        spool: of this data directory; None leaves it alone.
        refused: of this data directory; None leaves it and the other two alone.

    Raises:
        TransactionFailed: what was not done yet is done by the next recovery.
    """
    num_settled = 0
    if refused is not None:
        files = [file for file in (journal, spool) if file is not None]
        num_settled = settle_saved(connection, refused, files, owner=owner, now_ms=now_ms)
    alive_since_ms = 2**62 if lease_ms is None else now_ms() - lease_ms
    others = {"owner": owner, "alive_since_ms": alive_since_ms}
    dead = iter(connection.rows(sql["holds_of_others"], others))
    charges: list[Charge] = []
    while rows := list(islice(dead, _BATCH)):
        rows.sort(key=lambda row: row[1])
        ends = [Recover(request_id=request_id, account_id=account_id) for request_id, account_id in rows]
        for end, outcome in zip(ends, run_each(connection, ends, now_ms=now_ms(), owner=owner), strict=True):
            if isinstance(outcome, TransactionFailed):
                extra = {"action": "recover_failed", "ended_request": end.request_id, "reason": str(outcome)}
                logger.error("a dead server's request cannot be ended and keeps its hold", extra=extra)
            elif isinstance(outcome, Charge):
                charges.append(outcome)
    connection.run(sql["forget_dead_claims"], others)
    connection.run(sql["forget_claims"], {"now_ms": now_ms()})
    if lease_ms is not None:
        connection.run(sql["forget_owners"], {"before_ms": now_ms() - _KEPT_OWNER_LEASES * lease_ms})
    num_charged = sum(charge.cost_micros > 0 for charge in charges)
    return Recovered(num_settled=num_settled, num_charged=num_charged, num_released=len(charges) - num_charged)
