import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from seekd.accounts.clock import DatabaseClock
from seekd.accounts.driver import Connection
from seekd.accounts.lease import Lease, keep_lease
from seekd.accounts.operations import Note
from seekd.accounts.statements import statement
from seekd.accounts.store import Store
from seekd.accounts.transaction import run_batch
from seekd.accounts.types import Usage
from tests.unit.accounts.conftest import Clock, Waits, free_reservation, settings

SEEN = statement("SELECT id, seen_at_ms FROM owners")
HELD = statement("SELECT request_id FROM holds")


async def test_a_server_is_seen_four_times_in_a_lease_also_after_the_database_was_away(
    connect: Callable[[], Connection], data_dir: Path
) -> None:
    store = Store(settings(busy_timeout_s=0.01), data_dir)
    wall, waits, connection = Clock(), Waits(), connect()
    lease = Lease(owner="me", lease_s=120.0, clock=DatabaseClock(wall))
    task = asyncio.create_task(keep_lease(lease, store.connect, sleep=waits))
    await waits.end_one()
    assert connection.rows(SEEN) == [("me", wall.now_ms)]
    seen_at_ms = wall.now_ms
    wall.now_s += 30.0
    connection.begin()  # somebody writes for too long
    await waits.end_one()
    connection.rollback()
    assert connection.rows(SEEN) == [("me", seen_at_ms)]
    await waits.end_one()
    assert connection.rows(SEEN) == [("me", wall.now_ms)]
    assert waits.seconds == [30.0] * 4
    task.cancel()


class Gateways:
    """Two gateways with a lease of 100 s on one database; the other one runs a request."""

    def __init__(self, connection: Connection) -> None:
        self.wall, self.monotonic_s = Clock(), 0.0
        self._connection = connection
        self._leases = {name: self._lease(name) for name in ("me", "other")}
        note = Note(
            reservation=free_reservation("r"),
            usage=Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0),
        )
        run_batch(connection, [note], now_ms=self.wall.now_ms, owner="other")

    def _lease(self, owner: str) -> Lease:
        clock = DatabaseClock(self.wall)
        return Lease(owner=owner, lease_s=100.0, clock=clock, monotonic=lambda: self.monotonic_s)

    def renew(self, *names: str) -> bool:
        """Whether the request still runs after these gateways have renewed their leases, in this order."""
        for name in names:
            self._leases[name].renew(self._connection)
        return bool(self._connection.rows(HELD))

    def wait(self, seconds: float) -> None:
        self.wall.now_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def gateways(connect: Callable[[], Connection]) -> Gateways:
    gateways = Gateways(connect())
    gateways.renew("me", "other")
    gateways.wait(100.0)  # nobody judges in his first lease
    assert gateways.renew("other", "me")
    return gateways


def test_a_gateway_that_was_silent_for_longer_than_a_lease_is_dead(gateways: Gateways) -> None:
    gateways.wait(100.0)
    assert gateways.renew("me")
    gateways.wait(0.001)
    assert not gateways.renew("me")


def test_a_new_gateway_judges_nobody_for_a_lease(connect: Callable[[], Connection]) -> None:
    gateways = Gateways(connect())
    assert gateways.renew("me")  # the other one has not been seen yet
    gateways.wait(99.0)
    assert gateways.renew("me")
    gateways.wait(1.0)
    assert not gateways.renew("me")


@pytest.mark.fault("clock-of-the-database-jumps")
def test_when_the_databases_clock_is_set_forward_no_running_request_is_ended(gateways: Gateways) -> None:
    gateways.wall.now_s += 5 * 3600
    assert gateways.renew("me")
    gateways.wait(99.0)
    assert gateways.renew("me")
    assert gateways.renew("other")
    gateways.wait(1.0)
    assert gateways.renew("me")
    gateways.wait(60.0)
    assert gateways.renew("me")
    gateways.wait(39.001)  # the other one is silent since
    assert not gateways.renew("me")


@pytest.mark.fault("clock-of-the-database-jumps")
def test_after_the_database_was_away_for_longer_than_a_lease_every_gateway_has_time_to_be_seen(
    gateways: Gateways,
) -> None:
    gateways.wait(3600.0)
    assert gateways.renew("me", "other", "me")
