"""What the database refuses is kept, tried again, and gone when it was taken."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.journal import Journal
from seekd.accounts.operations import Settle, TopUp
from seekd.accounts.refused import Refusal, RefusedSettlements, keep_trying, run_each, settle_saved
from seekd.accounts.statements import statement
from seekd.accounts.transaction import Needs, Transaction
from seekd.accounts.types import Usage
from tests.unit.accounts.conftest import Waits, free_reservation, refuse_usage, take_usage_again

USED = statement("SELECT request_id FROM usage ORDER BY request_id")


def settlement(request_id: str) -> Settle:
    usage = Usage(num_hit_tokens=1, num_miss_tokens=2, num_completion_tokens=3, latency_ms=1.5)
    return Settle(reservation=free_reservation(request_id), usage=usage)


def refusal(request_id: str) -> Refusal:
    return Refusal(settlement=settlement(request_id), reason="because")


@pytest.fixture
def refused(tmp_path: Path) -> RefusedSettlements:
    return RefusedSettlements(tmp_path / "refused.jsonl")


def settle(connection: Connection, refused: RefusedSettlements, *files: Journal) -> int:
    return settle_saved(connection, refused, files, owner="me", now_ms=lambda: 1)


# --- the file


def test_what_was_added_is_there_for_the_next_process_until_it_is_removed(refused: RefusedSettlements) -> None:
    assert (refused.num, refused.read()) == (0, [])
    refused.add([refusal("a"), refusal("b")])
    refused.add([refusal("c")])
    assert refused.num == 3
    again = RefusedSettlements(refused.path)
    assert again.read() == [refusal("a"), refusal("b"), refusal("c")]
    assert refused.path.stat().st_mode & 0o777 == 0o600
    again.remove({"a", "c"})
    assert again.num == 1
    assert again.read() == [refusal("b")]
    assert refused.path.stat().st_mode & 0o777 == 0o600
    again.remove({"b"})
    assert again.num == 0
    assert not refused.path.exists()


def test_a_line_cut_short_does_not_spoil_the_next(refused: RefusedSettlements) -> None:
    refused.add([refusal("a")])
    whole = refused.path.read_bytes()
    for end in range(len(whole) - 1):
        refused.path.write_bytes(whole[:end])
        refused.add([refusal("b")])
        assert refused.read() == [refusal("b")]


# --- settling what waits in files


@pytest.mark.fault("settlement-that-the-database-refuses")
def test_what_is_refused_moves_from_its_file_to_the_others_and_nothing_else_is_held_up(
    connect: Callable[[], Connection], refused: RefusedSettlements, tmp_path: Path
) -> None:
    connection, journal = connect(), Journal(tmp_path / "journal")
    refuse_usage(connection, "r2")
    journal.append([settlement(f"r{number}") for number in range(5)])
    assert settle(connection, refused, journal) == 4
    assert connection.rows(USED) == [("r0",), ("r1",), ("r3",), ("r4",)]
    assert journal.read() == []
    assert refused.read() == [Refusal(settlement=settlement("r2"), reason="SQLite: refused by the test")]
    content = refused.path.read_bytes()
    assert settle(connection, refused, journal) == 0
    assert refused.path.read_bytes() == content
    take_usage_again(connection)
    assert settle(connection, refused, journal) == 1
    assert connection.rows(USED) == [(f"r{number}",) for number in range(5)]
    assert refused.num == 0


def test_what_the_database_has_already_is_forgotten(
    connect: Callable[[], Connection], refused: RefusedSettlements, tmp_path: Path
) -> None:
    connection, journal = connect(), Journal(tmp_path / "journal")
    journal.append([settlement("r")])
    assert settle(connection, refused, journal) == 1
    refused.add([refusal("r")])
    assert settle(connection, refused) == 0
    assert refused.num == 0


def test_while_the_database_is_away_everything_stays_where_it_is(
    connect: Callable[[], Connection], refused: RefusedSettlements, tmp_path: Path
) -> None:
    connection, journal = connect(), Journal(tmp_path / "journal")
    journal.append([settlement("r")])
    refused.add([refusal("a")])
    connection.run(statement("ALTER TABLE usage RENAME TO away"))
    with pytest.raises(TransactionFailed):
        settle(connection, refused, journal)
    assert (len(journal.read()), refused.num) == (1, 1)


class Bug:
    """An operation with a bug."""

    account_id = "open"

    @property
    def needs(self) -> Needs:
        return Needs()

    def apply(self, transaction: Transaction) -> None:
        raise ZeroDivisionError


@pytest.mark.parametrize("place", range(5))
def test_one_operation_with_a_bug_fails_alone_and_the_outcomes_keep_their_order(
    connect: Callable[[], Connection], place: int
) -> None:
    operations: list[TopUp | Bug] = [
        TopUp(account_id="open", currency="USD", micros=1, reference=str(number)) for number in range(4)
    ]
    operations.insert(place, Bug())
    outcomes = run_each(connect(), operations, now_ms=1, owner="me")
    assert [isinstance(outcome, TransactionFailed) for outcome in outcomes] == [number == place for number in range(5)]
    assert connect().rows(statement("SELECT topped_up_micros FROM pools")) == [(4,)]


# --- a running server


async def test_a_running_server_tries_again_and_lives_through_a_database_that_is_away(
    connect: Callable[[], Connection], refused: RefusedSettlements
) -> None:
    connection, waits = connect(), Waits()
    refuse_usage(connection, "r")
    refused.add([refusal("r")])
    task = asyncio.create_task(keep_trying(refused, connect, owner="me", now_ms=lambda: 1, sleep=waits))
    await waits.end_one()
    assert refused.num == 1
    take_usage_again(connection)
    connection.run(statement("ALTER TABLE usage RENAME TO away"))
    await waits.end_one()
    assert refused.num == 1
    connection.run(statement("ALTER TABLE away RENAME TO usage"))
    await waits.end_one()
    assert refused.num == 0
    assert connection.rows(USED) == [("r",)]
    assert waits.seconds == [600.0] * 4
    task.cancel()
