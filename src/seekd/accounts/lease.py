"""Whether a server lives, told to the others that use the same database.

Room: accounts. May import: accounts.driver, recovery, settings, statements, store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from seekd.accounts import statements as sql
from seekd.accounts.driver import TransactionFailed
from seekd.accounts.recovery import recover
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import Store

logger = logging.getLogger(__name__)


async def keep_lease(store: Store, settings: AccountsSettings, *, owner: str, now_ms: Callable[[], int]) -> None:
    """Say that this server lives, and end what dead ones left, several times a lease. Runs until it is cancelled."""
    while True:
        await asyncio.sleep(settings.lease_s / 4)
        try:
            await asyncio.to_thread(_renew, store, settings, owner=owner, now_ms=now_ms)
        except TransactionFailed as failure:
            logger.warning("the lease cannot be renewed", extra={"action": "lease", "reason": str(failure)})


def _renew(store: Store, settings: AccountsSettings, *, owner: str, now_ms: Callable[[], int]) -> None:
    connection = store.connect()
    try:
        connection.run(sql.SEE_OWNER, {"id": owner, "now_ms": now_ms()})
        recover(connection, owner=owner, now_ms=now_ms, lease_ms=int(settings.lease_s * 1000))
    finally:
        connection.close()
