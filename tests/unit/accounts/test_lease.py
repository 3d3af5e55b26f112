import asyncio
from collections.abc import Callable
from pathlib import Path

from seekd.accounts.driver import Connection, statement
from seekd.accounts.lease import keep_lease
from seekd.accounts.store import Store
from tests.unit.accounts.conftest import settings

SEEN = statement("SELECT id, seen_at_ms FROM owners")


async def test_a_server_is_seen_again_and_again_also_after_the_database_was_away(
    connect: Callable[[], Connection], data_dir: Path
) -> None:
    chosen = settings(lease_s=0.02, busy_timeout_s=0.01)
    store = Store(chosen, data_dir)
    store.prepare(is_server=False)
    now_ms = iter(range(1, 10**6))
    task = asyncio.create_task(keep_lease(store, chosen, owner="me", now_ms=lambda: next(now_ms)))
    connection = connect()

    async def seen_after(at_ms: int) -> int:
        async with asyncio.timeout(30):
            while not (rows := [row for row in connection.rows(SEEN) if row[1] > at_ms]):
                await asyncio.sleep(0.005)
        assert rows[0][0] == "me"
        return int(rows[0][1])

    first_ms = await seen_after(0)
    connection.begin()
    await asyncio.sleep(0.1)  # a renewal fails meanwhile, or none came: either way the next ones succeed
    connection.rollback()
    await seen_after(first_ms)
    task.cancel()
