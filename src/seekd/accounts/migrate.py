"""Brings the schema of the books to the newest version, at every start.

Each version is a file in `sql/migrations`, named by its number: the statements that lead to it from the version before.
A release never changes a file of an earlier one; docs/decisions/schema.md says how to add one. All that is missing runs
in one transaction, so that the books are at the new version or as they were.
"""

from __future__ import annotations

from pathlib import Path

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.statements import DIRECTORY, load_statements, sql
from seekd.errors import ConfigError

MIGRATIONS = DIRECTORY / "migrations"


def migrate(connection: Connection, migrations: Path = MIGRATIONS) -> None:
    """Create the books or bring them to the newest version; several processes may try at once.

    Raises:
        ConfigError: the database cannot be written or is none of ours, or the books are newer than this seekd.
    """
    files = {path.name[:4]: path for path in sorted(migrations.glob("*.sql"))}
    try:
        if _has_version(connection, max(files)):
            return
        connection.begin()
        try:
            _upgrade(connection, files)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    except TransactionFailed as failure:
        raise ConfigError(f"The books cannot be opened or migrated: {failure}.") from failure


def schema_version(connection: Connection) -> str:
    """The version of migrated books: the number of their last migration."""
    version: str = connection.rows(sql["schema_version"])[0][0]
    return version


def _has_version(connection: Connection, version: str) -> bool:
    try:
        return connection.rows(sql["schema_version"]) == [(version,)]
    except TransactionFailed:  # no such table: an empty database. Trouble of another kind shows in the migration.
        return False


def _upgrade(connection: Connection, files: dict[str, Path]) -> None:
    if connection.dialect == "postgresql":  # on SQLite the transaction itself is the lock
        connection.rows(sql["wait_without_limit"])
        connection.rows(sql["lock_schema"])
    connection.run(sql["create_schema_version"])
    found = connection.rows(sql["schema_version"])  # again: another process may have been faster
    version: str = found[0][0] if found else ""
    if version and version not in files:
        raise ConfigError(
            f"The books were made by a newer seekd: their version is {version}, this one knows {max(files)} at most. "
            "Start the newer one, or restore a backup."
        )
    for missing in [number for number in files if number > version]:
        for step in load_statements(files[missing]).values():
            if step.sqlite if connection.dialect == "sqlite" else step.postgresql:
                connection.run(step)
    connection.run(sql["delete_schema_version"])
    connection.run(sql["insert_schema_version"], {"version": max(files)})
