import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import seekd.accounts.migrate
from seekd.accounts.books import open_books
from seekd.accounts.driver import TransactionFailed, statement
from seekd.accounts.migrate import HEAD, is_current, migrate_sqlite
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.tables import metadata
from seekd.accounts.verify import verify_ledger
from seekd.errors import ConfigError
from tests.released_books import RELEASED, RELEASED_CLOCK_S, check_released_books, load_rows


def connection_to(path: Path) -> SqliteConnection:
    return SqliteConnection(path, synchronous="normal", busy_timeout_s=1)


def test_head_is_the_newest_migration_and_there_is_one_line_of_them() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(seekd.accounts.migrate.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_an_empty_database_gets_the_schema_and_the_account_of_open_access(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite3"
    connection = connection_to(path)
    assert not is_current(connection)
    migrate_sqlite(path)
    assert is_current(connection)
    assert connection.rows(statement("SELECT id, name FROM accounts")) == [("open", "open")]
    assert path.stat().st_mode & 0o777 == 0o600
    connection.close()


def test_the_migrations_arrive_at_the_tables_that_the_code_knows(migrated_books: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{migrated_books}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    assert differences == []


def test_every_released_version_is_there() -> None:
    assert RELEASED[-1] == HEAD, "add the books of the newest version to tests/data/released_books"


@pytest.mark.parametrize("version", RELEASED)
async def test_books_of_every_released_version_are_migrated_and_keep_every_amount(version: str, tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite3"
    connection = connection_to(path)
    migrate_sqlite(path, target=version)
    load_rows(connection, version)
    books = open_books(AccountsSettings(), tmp_path, allows_open=True, clock=lambda: RELEASED_CLOCK_S)
    await books.start()
    try:
        await check_released_books(books)
    finally:
        await books.close()
    assert verify_ledger(connection).problems == ()
    assert is_current(connection)
    connection.close()


def test_migrating_again_changes_nothing(data_dir: Path) -> None:
    path = data_dir / "books.sqlite3"
    connection = connection_to(path)
    connection.run(statement("UPDATE versions SET version = 7"))
    migrate_sqlite(path)
    assert connection.rows(statement("SELECT version FROM versions")) == [(7,)]
    connection.close()


def test_books_of_a_newer_seekd_stop_the_start(data_dir: Path) -> None:
    path = data_dir / "books.sqlite3"
    connection = connection_to(path)
    connection.run(statement("UPDATE alembic_version SET version_num = '9999'"))
    assert not is_current(connection)
    with pytest.raises(ConfigError, match="newer seekd"):
        migrate_sqlite(path)
    connection.close()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE owners (in_the_way TEXT)")  # the last table that the first migration makes
    connection.close()
    with pytest.raises(ConfigError, match="cannot be opened or migrated"):
        migrate_sqlite(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("owners",)]
    connection.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "books.sqlite3"
    path.write_text("my diary, which must not be overwritten" * 100)
    with pytest.raises(TransactionFailed, match="not a database"):
        connection_to(path)
    assert path.read_text().startswith("my diary")
