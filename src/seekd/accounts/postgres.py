"""The books in PostgreSQL, through psycopg 3.

A transaction of the hot path is two network round trips, however many requests it carries: BEGIN with all that it
reads, and all that it writes with COMMIT. The rows of one command travel as one JSON array. Every gateway that serves
the account waits meanwhile, since the first thing read is the locked balance.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from seekd.accounts.driver import Dialect, Parameters, Row, Statement, TransactionFailed, Write
from seekd.accounts.statements import statement
from seekd.errors import ConfigError

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

_COMMIT = statement("COMMIT")


class PostgresConnection:
    """A `Connection` to PostgreSQL that comes back after the server was away."""

    dialect: Dialect = "postgresql"

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Connect.

        Args:
            url: `postgresql://user:password@host:port/name`.
            timeout_s: for connecting, for one statement and for a lock.

        Raises:
            ConfigError: psycopg is not installed.
            TransactionFailed: the server is away or refuses.
        """
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError("PostgreSQL needs psycopg: pip install 'seekd[postgres]'.") from error
        self._psycopg = psycopg
        self._url = url
        self._timeout_s = timeout_s
        self._connection: psycopg.Connection[Row] = self._translated(self._connect)
        self._is_beginning = False

    def begin(self) -> None:
        """Start a transaction, on a new connection when the old one is gone; BEGIN travels with the first statement."""
        self._is_beginning = True

    def begin_reading(self) -> None:
        """Start a transaction that sees one state."""
        self._translated(lambda: self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))

    def commit(self, writes: Sequence[Write] = ()) -> None:
        """Write these, then make the transaction permanent."""

        def run() -> str | None:
            with self._pipeline():
                for command, parameters in writes:
                    self._execute_many(command, parameters)
                cursor = self._execute(_COMMIT, None)
            return cursor.statusmessage

        if self._translated(run) != "COMMIT":  # what PostgreSQL says after a statement had failed
            raise TransactionFailed("PostgreSQL: the transaction was rolled back", is_away=False)

    def rollback(self) -> None:
        """Forget the transaction, if there is one."""
        self._is_beginning = False
        with suppress(self._psycopg.Error):
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        """All rows of a query."""
        return self._translated(lambda: self._execute(query, parameters).fetchall())

    def rows_together(self, queries: Sequence[tuple[Statement, Parameters]]) -> list[list[Row]]:
        """All rows of several queries."""

        def run() -> list[list[Row]]:
            with self._pipeline():
                cursors = [self._execute(query, parameters) for query, parameters in queries]
            return [cursor.fetchall() for cursor in cursors]

        return self._translated(run)

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Iterator[Row]:
        """The rows of a query."""
        yield from self.rows(query, parameters)

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        """Run one command; the number of rows that it changed."""
        return self._translated(lambda: self._execute(command, parameters).rowcount)

    def close(self) -> None:
        """Close the connection."""
        with suppress(self._psycopg.Error):
            self._connection.close()

    def _connect(self) -> psycopg.Connection[Row]:
        milliseconds = int(self._timeout_s * 1000)
        return self._psycopg.connect(
            self._url,
            autocommit=True,  # transactions are begun and ended by statements of our own
            connect_timeout=max(1, int(self._timeout_s)),
            # A peer that vanished without a word is noticed in seconds, not in the kernel's quarter of an hour.
            tcp_user_timeout=milliseconds,
            keepalives_idle=max(1, int(self._timeout_s)),
            keepalives_interval=1,
            keepalives_count=max(1, int(self._timeout_s)),
            options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            application_name="seekd",
        )

    def _pipeline(self) -> AbstractContextManager[object]:
        self._connect_again()
        return self._connection.pipeline()

    def _connect_again(self) -> None:
        if self._connection.closed:
            self._connection = self._connect()

    def _begun(self) -> psycopg.Connection[Row]:
        """The connection, a new one when the old one is gone; a transaction that was to begin has begun."""
        self._connect_again()
        if self._is_beginning:
            self._is_beginning = False
            self._connection.execute("BEGIN")
        return self._connection

    def _execute(self, query: Statement, parameters: Parameters | None) -> psycopg.Cursor[Row]:
        return self._begun().execute(cast("Any", query.postgresql), parameters)  # Any: psycopg wants literal text

    def _execute_many(self, command: Statement, parameters: Sequence[Parameters]) -> None:
        connection = self._begun()
        if command.together is not None:
            rows = json.dumps(parameters, separators=(",", ":"), default=_hex)
            connection.execute(cast("Any", command.together), {"rows": rows})
            return
        with connection.cursor() as cursor:
            cursor.executemany(cast("Any", command.postgresql), parameters)

    def _translated(self, action: Callable[[], T]) -> T:
        psycopg = self._psycopg
        try:
            return action()
        except psycopg.Error as error:
            is_own_fault = isinstance(error, (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError))
            # Class 54: a value is larger than PostgreSQL takes, which psycopg counts as an operational error.
            is_away = not is_own_fault and (error.sqlstate or "")[:2] != "54"
            raise TransactionFailed(f"PostgreSQL: {error}", is_away=is_away) from error


def _hex(value: bytes) -> str:
    return "\\x" + value.hex()  # as PostgreSQL reads bytes in a text
