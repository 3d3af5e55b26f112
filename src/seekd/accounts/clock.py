"""What time it is for the books.

Gateways on one database compare instants that another one wrote: when it was last seen, until when an answer is kept,
when a key or a grant ends. Their own clocks may be hours apart, so the database's clock decides. It is asked now and
then, and this machine's monotonic clock counts on from there: no request pays for it, and a jump of this machine's
wall clock changes nothing.

SQLite has no clock but this machine's. No hold depends on it there: they end when their server does, see `recovery.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from seekd.accounts.driver import Connection
from seekd.accounts.statements import sql


class DatabaseClock:
    """Seconds since 1970 as the database counts them; may be read by any thread."""

    def __init__(
        self, wall: Callable[[], float] = time.time, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Follow no database yet.

        Args:
            wall: this machine's clock, which counts until a database with one of its own is followed.
            monotonic: seconds that never jump.
        """
        self._wall = wall
        self._monotonic = monotonic
        self._ahead_s: float | None = None

    def __call__(self) -> float:
        """What time it is."""
        return self._wall() if self._ahead_s is None else self._monotonic() + self._ahead_s

    @property
    def now_ms(self) -> int:
        """What time it is, in milliseconds since 1970."""
        return int(self() * 1000)

    def follow(self, connection: Connection) -> None:
        """Ask the database what time it is. Raises `TransactionFailed`."""
        if connection.dialect == "sqlite":
            return
        asked_s = self._monotonic()
        now_ms: int = connection.rows(sql["database_time_ms"])[0][0]
        # It answered between both readings, so half of the round trip is the most that this is wrong.
        self._ahead_s = now_ms / 1000 - (asked_s + self._monotonic()) / 2
