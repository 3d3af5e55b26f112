"""The books in a SQLite file.

Write-ahead logging lets the command line read and write while the server runs; writers wait for each other up to the
busy timeout. The file is created with mode 0600 before SQLite opens it, and its log files inherit the mode.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from seekd.accounts.driver import Dialect, Parameters, Row, Statement, TransactionFailed, Write

T = TypeVar("T")


class SqliteConnection:
    """A `Connection` to a SQLite file."""

    dialect: Dialect = "sqlite"

    def __init__(self, path: Path, *, synchronous: Literal["full", "normal"], busy_timeout_s: float) -> None:
        """Open or create the file.

        Raises:
            TransactionFailed: it cannot be opened, or is no database.
        """
        self._path = path
        self._connection = _translated(lambda: _open(path, synchronous, busy_timeout_s))

    def begin(self) -> None:
        """Start a transaction and take the write lock at once, so that what it reads stays true."""
        _translated(lambda: self._connection.execute("BEGIN IMMEDIATE"))

    def begin_reading(self) -> None:
        """Start a transaction whose first read fixes what it sees."""
        _translated(lambda: self._connection.execute("BEGIN"))

    def commit(self, writes: Sequence[Write] = ()) -> None:
        """Write these, then make the transaction permanent."""
        for command, parameters in writes:
            _translated(partial(self._connection.executemany, command.sqlite, parameters))
        _translated(lambda: self._connection.execute("COMMIT"))

    def rollback(self) -> None:
        """Forget the transaction, if there is one."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        """All rows of a query."""
        plain = {} if parameters is None else _plain(parameters)
        return _translated(lambda: self._connection.execute(query.sqlite, plain).fetchall())

    def rows_together(self, queries: Sequence[tuple[Statement, Parameters]]) -> list[list[Row]]:
        """All rows of several queries."""
        return [self.rows(query, parameters) for query, parameters in queries]

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Iterator[Row]:
        """The rows of a query, as SQLite finds them."""
        cursor = _translated(lambda: self._connection.execute(query.sqlite, _plain(parameters)))
        while batch := _translated(lambda: cursor.fetchmany(1000)):
            yield from batch

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        """Run one command; the number of rows that it changed."""
        return _translated(lambda: self._connection.execute(command.sqlite, _plain(parameters)).rowcount)

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._connection.close()


def _open(path: Path, synchronous: str, busy_timeout_s: float) -> sqlite3.Connection:
    # Only when it is new: closing any descriptor of the file drops the locks that SQLite holds on it in this process
    # (POSIX), and another process that then closes the books takes itself for the last one and deletes the log.
    # Source: https://www.sqlite.org/howtocorrupt.html §2.2.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if path.stat().st_mode & 0o077:  # a restored backup may have another mode
        with suppress(PermissionError):  # of another user: not ours to change
            path.chmod(0o600)
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA cache_size = -8192")  # 8 MiB: the hot rows, not the history
    except BaseException:
        connection.close()
        raise
    return connection


def _plain(parameters: Parameters | None) -> Parameters:
    if parameters is None:
        return {}
    if any(isinstance(value, list) for value in parameters.values()):
        return {name: json.dumps(value) if isinstance(value, list) else value for name, value in parameters.items()}
    return parameters


def _translated(action: Callable[[], T]) -> T:
    try:
        return action()
    except sqlite3.OperationalError as error:  # busy, locked, full, read-only, I/O error, missing table
        raise TransactionFailed(f"SQLite: {error}", is_away=True) from error
    except sqlite3.Error as error:
        raise TransactionFailed(f"SQLite: {error}", is_away=False) from error
    except OSError as error:
        raise TransactionFailed(f"SQLite: {error}", is_away=True) from error
