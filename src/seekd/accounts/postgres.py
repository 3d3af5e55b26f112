"""The books in PostgreSQL, through psycopg 3.

Room: accounts. May import: errors, accounts.driver. psycopg is an optional dependency: `pip install seekd[postgres]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from seekd.accounts.driver import Dialect, Parameters, Row, Statement, TransactionFailed
from seekd.errors import ConfigError

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")


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

    def begin(self) -> None:
        """Start a transaction, on a new connection when the old one is gone."""
        if self._connection.closed:
            self._connection = self._translated(self._connect)
        self._translated(lambda: self._connection.execute("BEGIN"))

    def begin_reading(self) -> None:
        """Start a transaction that sees one state."""
        self._translated(lambda: self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))

    def commit(self) -> None:
        """Make the transaction permanent."""
        self._translated(lambda: self._connection.execute("COMMIT"))

    def rollback(self) -> None:
        """Forget the transaction, if there is one."""
        with suppress(self._psycopg.Error):
            if not self._connection.closed:
                self._connection.execute("ROLLBACK")

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        """All rows of a query."""
        return self._translated(lambda: self._execute(query, parameters).fetchall())

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Iterator[Row]:
        """The rows of a query."""
        yield from self.rows(query, parameters)

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        """Run one command; the number of rows that it changed."""
        return self._translated(lambda: self._execute(command, parameters).rowcount)

    def run_many(self, command: Statement, parameters: Sequence[Parameters]) -> None:
        """Run one command for each set of parameters, in one network round trip where psycopg can."""

        def run() -> None:
            with self._connection.cursor() as cursor:
                cursor.executemany(cast("Any", command.postgresql), parameters)  # Any: psycopg wants literal text

        self._translated(run)

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
            options=f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}",
            application_name="seekd",
        )

    def _execute(self, query: Statement, parameters: Parameters | None) -> psycopg.Cursor[Row]:
        if self._connection.closed:
            self._connection = self._connect()
        return self._connection.execute(cast("Any", query.postgresql), parameters)  # Any: psycopg wants literal text

    def _translated(self, action: Callable[[], T]) -> T:
        psycopg = self._psycopg
        try:
            return action()
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.ProgrammingError) as error:
            raise TransactionFailed(f"PostgreSQL: {error}", is_away=False) from error
        except psycopg.Error as error:
            raise TransactionFailed(f"PostgreSQL: {error}", is_away=True) from error
