from collections.abc import Callable
from pathlib import Path

import pytest

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement

COUNT = statement("SELECT count(*) FROM owners")
INSERT = statement("INSERT INTO owners VALUES (:id, 0, 0)")


def test_a_rollback_forgets_and_a_commit_keeps(connect: Callable[[], Connection]) -> None:
    writer, reader = connect(), connect()
    writer.begin()
    writer.run(INSERT, {"id": "a"})
    writer.run(INSERT, {"id": "b"})
    assert reader.rows(COUNT) == [(0,)]
    writer.rollback()
    writer.rollback()  # nothing to forget is no fault
    writer.begin()
    assert writer.run(INSERT, {"id": "a"}) == 1
    writer.commit()
    assert reader.rows(COUNT) == [(1,)]


def test_a_reading_transaction_sees_one_state_and_blocks_no_writer(connect: Callable[[], Connection]) -> None:
    reader, writer = connect(), connect()
    reader.begin_reading()
    assert reader.rows(COUNT) == [(0,)]
    writer.run(INSERT, {"id": "a"})
    assert reader.rows(COUNT) == [(0,)]
    reader.rollback()
    assert reader.rows(COUNT) == [(1,)]


def test_a_list_is_a_parameter_and_rows_can_be_streamed(connect: Callable[[], Connection]) -> None:
    connection = connect()
    connection.begin()
    connection.commit([(INSERT, [{"id": f"{number:04}"} for number in range(2500)])])
    found = connection.rows(
        statement("SELECT id FROM owners WHERE id IN_LIST(:ids)"), {"ids": ["0001", "x'--", "0002"]}
    )
    assert found == [("0001",), ("0002",)]
    assert len(list(connection.stream(statement("SELECT id FROM owners")))) == 2500


def test_a_busy_database_may_work_later_and_a_broken_rule_will_not(
    data_dir: Path, connect: Callable[[], Connection]
) -> None:
    connect().begin()
    impatient = SqliteConnection(data_dir / "books.sqlite3", synchronous="full", busy_timeout_s=0.01)
    with pytest.raises(TransactionFailed, match="locked") as caught:
        impatient.begin()
    assert caught.value.is_away
    impatient.close()


def test_a_broken_rule_will_be_broken_again(connect: Callable[[], Connection]) -> None:
    connection = connect()
    connection.run(INSERT, {"id": "a"})
    with pytest.raises(TransactionFailed, match="UNIQUE") as caught:
        connection.run(INSERT, {"id": "a"})
    assert not caught.value.is_away


def test_overspending_is_refused_by_the_database_itself(connect: Callable[[], Connection]) -> None:
    connection = connect()
    for amounts in ("-1, 0, 0", "0, -1, 0", "5, 5, 11", "5, 5, -1"):
        with pytest.raises(TransactionFailed, match="CHECK"):
            connection.run(statement(f"INSERT INTO pools VALUES ('open', 'USD', {amounts}, 0, x'')"))


def test_a_restored_backup_becomes_private(data_dir: Path, connect: Callable[[], Connection]) -> None:
    (data_dir / "books.sqlite3").chmod(0o644)
    connect()
    assert (data_dir / "books.sqlite3").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_is_missing_is_away(tmp_path: Path) -> None:
    with pytest.raises(TransactionFailed) as caught:
        SqliteConnection(tmp_path / "no" / "books.sqlite3", synchronous="full", busy_timeout_s=1)
    assert caught.value.is_away
