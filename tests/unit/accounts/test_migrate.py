import logging
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from seekd.accounts.books import open_books
from seekd.accounts.driver import TransactionFailed
from seekd.accounts.migrate import MIGRATIONS, migrate
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement
from seekd.accounts.verify import verify_ledger
from seekd.errors import ConfigError
from tests.released_books import RELEASED, RELEASED_CLOCK_S, check_released_books, load_rows, schema

VERSION = statement("SELECT version_num FROM alembic_version")
FIRST = "-- t --\nCREATE TABLE t (a TEXT);\n-- row --\nINSERT INTO t VALUES ('kept');\n"
SECOND = "-- b --\nALTER TABLE t ADD COLUMN b TEXT;\n-- full --\nUPDATE t SET b = 'new';\n"


def connection_to(path: Path) -> SqliteConnection:
    return SqliteConnection(path, synchronous="normal", busy_timeout_s=10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.sqlite3"


@pytest.fixture
def connection(path: Path) -> Iterator[SqliteConnection]:
    with closing(connection_to(path)) as connection:
        yield connection


def write_migrations(directory: Path, *texts: str) -> Path:
    directory.mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (directory / f"{number:04}_some.sql").write_text(text)
    return directory


def make_released(path: Path, version: str) -> None:
    """The empty books of a released version."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(schema(version, "sqlite"))


def schema_of(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: "".join(text.split()) for name, text in rows}


def test_an_empty_database_gets_the_schema_and_the_account_of_open_access(
    path: Path, connection: SqliteConnection
) -> None:
    migrate(connection)
    assert connection.rows(statement("SELECT id, name FROM accounts")) == [("open", "open")]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("version", RELEASED)
def test_new_books_have_the_schema_of_released_books_that_were_migrated(
    version: str, path: Path, connection: SqliteConnection, tmp_path: Path
) -> None:
    migrate(connection)
    released = tmp_path / "released.sqlite3"
    make_released(released, version)
    with closing(connection_to(released)) as old:
        migrate(old)
    assert schema_of(path) == schema_of(released)


def test_every_released_version_is_there() -> None:
    assert [path.name[:4] for path in sorted(MIGRATIONS.glob("*.sql"))] == RELEASED, (
        "add the books of the newest version to tests/data/released_books"
    )


@pytest.mark.parametrize("version", RELEASED)
async def test_books_of_every_released_version_are_migrated_and_keep_every_amount(
    version: str, path: Path, tmp_path: Path
) -> None:
    make_released(path, version)
    with closing(connection_to(path)) as connection:
        load_rows(connection, version)
    books = open_books(AccountsSettings(), tmp_path, allows_open=True, clock=lambda: RELEASED_CLOCK_S)
    await books.start()
    try:
        await check_released_books(books)
    finally:
        await books.close()
    with closing(connection_to(path)) as connection:
        assert verify_ledger(connection).problems == ()
        assert connection.rows(VERSION) == [(RELEASED[-1],)]


def test_only_what_is_missing_runs(connection: SqliteConnection, tmp_path: Path) -> None:
    for _ in range(2):
        migrate(connection, write_migrations(tmp_path / "sql", FIRST))
    assert connection.rows(statement("SELECT * FROM t")) == [("kept",)]
    for _ in range(2):
        migrate(connection, write_migrations(tmp_path / "sql", FIRST, SECOND))
    assert connection.rows(statement("SELECT * FROM t")) == [("kept", "new")]
    assert connection.rows(VERSION) == [("0002",)]


def test_a_migration_that_fails_leaves_the_books_as_they_were(connection: SqliteConnection, tmp_path: Path) -> None:
    migrate(connection, write_migrations(tmp_path / "sql", FIRST))
    broken = write_migrations(tmp_path / "sql", FIRST, SECOND + "-- c --\nALTER TABLE nowhere ADD COLUMN c TEXT;\n")
    with pytest.raises(ConfigError, match="cannot be opened or migrated: SQLite: no such table: nowhere"):
        migrate(connection, broken)
    assert connection.rows(statement("SELECT * FROM t")) == [("kept",)]
    assert connection.rows(VERSION) == [("0001",)]


def test_books_of_a_newer_seekd_stop_the_start(connection: SqliteConnection) -> None:
    migrate(connection)
    connection.run(statement("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer seekd: their version is 9999"):
        migrate(connection)
    assert connection.rows(VERSION) == [("9999",)]


def test_processes_that_start_at_once_make_the_books_once(path: Path) -> None:
    def start(_: int) -> None:
        with closing(connection_to(path)) as connection:
            migrate(connection)

    start_one = connection_to(path)  # the first opening of a file is not what is tried here
    start_one.close()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    with closing(connection_to(path)) as connection:
        assert connection.rows(statement("SELECT id FROM accounts")) == [("open",)]


def test_a_first_start_logs_nothing_of_the_schema(
    connection: SqliteConnection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        migrate(connection)
    assert caplog.records == []


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.write_text("my diary, which must not be overwritten" * 100)
    with pytest.raises(TransactionFailed, match="not a database"):
        connection_to(path)
    assert path.read_text().startswith("my diary")
