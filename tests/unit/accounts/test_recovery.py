from collections.abc import Callable
from pathlib import Path

from seekd.accounts import statements as sql
from seekd.accounts.driver import Connection, statement
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Note, Settle
from seekd.accounts.recovery import Recovered, recover
from seekd.accounts.types import Reservation, Usage
from seekd.accounts.unit import run_batch
from tests.unit.accounts.conftest import free_reservation

NOW_MS = 1_000_000
NOTED = Usage(num_hit_tokens=0, num_miss_tokens=3, num_completion_tokens=0)
NOTHING = Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0)
HELD = statement("SELECT request_id FROM holds ORDER BY request_id")


def start_request(connection: Connection, request_id: str, owner: str) -> Reservation:
    connection.run(sql.SEE_OWNER, {"id": owner, "now_ms": NOW_MS})
    reservation = free_reservation(request_id)
    run_batch(connection, [Note(reservation=reservation, usage=NOTHING)], now_ms=NOW_MS, owner=owner)
    return reservation


def run_recovery(connection: Connection, tmp_path: Path, *, now_ms: int, lease_ms: int | None) -> Recovered:
    journal = Journal(tmp_path / "journal")
    return recover(connection, owner="me", now_ms=lambda: now_ms, lease_ms=lease_ms, journal=journal)


def test_only_the_requests_of_silent_servers_end(connect: Callable[[], Connection], tmp_path: Path) -> None:
    connection = connect()
    for owner in ("me", "other"):
        start_request(connection, f"of {owner}", owner)
    run_recovery(connection, tmp_path, now_ms=NOW_MS + 100, lease_ms=100)
    assert connection.rows(HELD) == [("of me",), ("of other",)]
    found = run_recovery(connection, tmp_path, now_ms=NOW_MS + 101, lease_ms=100)
    assert connection.rows(HELD) == [("of me",)]
    assert found == Recovered(num_settled=0, num_charged=0, num_released=1)


def test_without_a_lease_every_other_server_is_dead(connect: Callable[[], Connection], tmp_path: Path) -> None:
    connection = connect()
    for number in range(300):  # more than one batch
        start_request(connection, str(number), "other")
    assert run_recovery(connection, tmp_path, now_ms=NOW_MS, lease_ms=None).num_released == 300
    assert connection.rows(HELD) == []


def test_the_journal_comes_before_what_was_noted(connect: Callable[[], Connection], tmp_path: Path) -> None:
    connection = connect()
    reservation = start_request(connection, "r", "other")
    run_batch(connection, [Note(reservation=reservation, usage=NOTED)], now_ms=NOW_MS, owner="other")
    full = Usage(num_hit_tokens=0, num_miss_tokens=3, num_completion_tokens=9)
    Journal(tmp_path / "journal").append([Settle(reservation=reservation, usage=full)])
    found = run_recovery(connection, tmp_path, now_ms=NOW_MS, lease_ms=None)
    assert (found.num_settled, found.num_released) == (1, 0)
    rows = connection.rows(statement("SELECT outcome, num_completion_tokens FROM usage"))
    assert rows == [("stop", 9)]
    assert not (tmp_path / "journal").exists()


def test_what_was_noted_is_what_the_usage_row_says(connect: Callable[[], Connection], tmp_path: Path) -> None:
    connection = connect()
    reservation = start_request(connection, "r", "other")
    run_batch(connection, [Note(reservation=reservation, usage=NOTED)], now_ms=NOW_MS, owner="other")
    run_recovery(connection, tmp_path, now_ms=NOW_MS, lease_ms=None)
    rows = connection.rows(statement("SELECT outcome, is_error, is_recovered, num_miss_tokens FROM usage"))
    assert rows == [("recovered", 1, 1, 3)]
