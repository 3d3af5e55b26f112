"""Whether a server lives, told to the others that use the same database.

A server is seen four times in the length of a lease, and one that was not seen for a whole one is dead: another ends
its requests. But a server that was not seen itself cannot tell who is dead. The database may have been away from all of
them, or its clock was set. So for the length of a lease it ends nobody's requests, and all have time to be seen again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from seekd.accounts.clock import DatabaseClock
from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.recovery import recover
from seekd.accounts.statements import sql

logger = logging.getLogger(__name__)


class Lease:
    """The lease of one server, and its judgement of others."""

    def __init__(
        self, *, owner: str, lease_s: float, clock: DatabaseClock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Renew nothing yet.

        Args:
            owner: the server.
            lease_s: how long a server may be silent.
            clock: follows the database with each renewal.
            monotonic: seconds that never jump.
        """
        self.lease_s = lease_s
        self._owner = owner
        self._clock = clock
        self._monotonic = monotonic
        self._judges_from_s = 0.0

    def renew(self, connection: Connection) -> None:
        """Say that this server lives, and end what dead ones left. Raises `TransactionFailed`."""
        self._clock.follow(connection)
        now_ms, lease_ms = self._clock.now_ms, int(self.lease_s * 1000)
        seen = connection.rows(sql["last_seen"], {"id": self._owner})
        connection.run(sql["see_owner"], {"id": self._owner, "now_ms": now_ms})
        if not seen or now_ms - seen[0][0] > lease_ms:
            self._judges_from_s = self._monotonic() + self.lease_s
        if self._monotonic() >= self._judges_from_s:
            recover(connection, owner=self._owner, now_ms=lambda: self._clock.now_ms, lease_ms=lease_ms)


async def keep_lease(
    lease: Lease, connect: Callable[[], Connection], *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Renew a lease four times in its length. Runs until it is cancelled."""
    while True:
        await sleep(lease.lease_s / 4)
        try:
            await asyncio.to_thread(_renew, lease, connect)
        except TransactionFailed as failure:
            logger.warning("the lease cannot be renewed", extra={"action": "lease", "reason": str(failure)})


def _renew(lease: Lease, connect: Callable[[], Connection]) -> None:
    connection = connect()
    try:
        lease.renew(connection)
    finally:
        connection.close()
