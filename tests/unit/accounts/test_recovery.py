from collections.abc import Callable
from pathlib import Path

from seekd.accounts.driver import Connection
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Note, Settle
from seekd.accounts.recovery import Recovered, recover
from seekd.accounts.refused import Refusal, RefusedSettlements
from seekd.accounts.statements import sql, statement
from seekd.accounts.transaction import run_batch
from seekd.accounts.types import Reservation, Usage
from tests.unit.accounts.conftest import free_reservation, refuse_usage, take_usage_again

NOW_MS = 1_000_000
NOTED = Usage(num_hit_tokens=0, num_miss_tokens=3, num_completion_tokens=0)
NOTHING = Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0)
HELD = statement("SELECT request_id FROM holds ORDER BY request_id")


def start_request(connection: Connection, request_id: str, owner: str) -> Reservation:
    connection.run(sql["see_owner"], {"id": owner, "now_ms": NOW_MS})
    reservation = free_reservation(request_id)
    run_batch(connection, [Note(reservation=reservation, usage=NOTHING)], now_ms=NOW_MS, owner=owner)
    return reservation


def run_recovery(connection: Connection, tmp_path: Path, *, now_ms: int, lease_ms: int | None) -> Recovered:
    journal = Journal(tmp_path / "journal")
    refused = RefusedSettlements(tmp_path / "refused")
    return recover(connection, owner="me", now_ms=lambda: now_ms, lease_ms=lease_ms, journal=journal, refused=refused)


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


def test_the_hold_of_a_refused_settlement_stays_and_others_of_the_dead_server_end(
    connect: Callable[[], Connection], tmp_path: Path
) -> None:
    connection, refused = connect(), RefusedSettlements(tmp_path / "refused")
    answered, _ = (start_request(connection, request_id, "other") for request_id in ("answered", "running"))
    refuse_usage(connection, "answered")
    refused.add([Refusal(settlement=Settle(reservation=answered, usage=NOTED), reason="because")])
    for owner in ("me", "the next one"):
        recover(connection, owner=owner, now_ms=lambda: NOW_MS, lease_ms=None, refused=refused)
        assert connection.rows(statement("SELECT request_id, owner FROM holds")) == [("answered", owner)]
    take_usage_again(connection)
    found = recover(connection, owner="the last one", now_ms=lambda: NOW_MS, lease_ms=None, refused=refused)
    assert found == Recovered(num_settled=1, num_charged=0, num_released=0)
    assert connection.rows(HELD) == []


def test_a_request_that_cannot_be_ended_keeps_its_hold_and_no_server_from_starting(
    connect: Callable[[], Connection], tmp_path: Path
) -> None:
    connection = connect()
    for request_id in ("r1", "r2", "r3"):
        start_request(connection, request_id, "other")
    refuse_usage(connection, "r2")
    assert run_recovery(connection, tmp_path, now_ms=NOW_MS, lease_ms=None).num_released == 2
    assert connection.rows(HELD) == [("r2",)]


def test_what_was_noted_is_what_the_usage_row_says(connect: Callable[[], Connection], tmp_path: Path) -> None:
    connection = connect()
    reservation = start_request(connection, "r", "other")
    run_batch(connection, [Note(reservation=reservation, usage=NOTED)], now_ms=NOW_MS, owner="other")
    run_recovery(connection, tmp_path, now_ms=NOW_MS, lease_ms=None)
    rows = connection.rows(statement("SELECT outcome, is_error, is_recovered, num_miss_tokens FROM usage"))
    assert rows == [("recovered", 1, 1, 3)]
