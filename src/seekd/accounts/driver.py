"""A database connection as the books use it: named statements, explicit transactions, one kind of failure.

`sqlite.py` and `postgres.py` are the two kinds.

The hot path speaks to the driver directly, since an ORM session or an async wrapper costs more than the statements.
Foreign exceptions end here: a connection raises `TransactionFailed` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Dialect = Literal["sqlite", "postgresql"]
Row = tuple[Any, ...]  # Any: the columns of a row have different types
Parameters = Mapping[str, Any]  # Any: what a driver accepts


class TransactionFailed(Exception):
    """A statement or a commit did not work; the transaction counts as not done.

    Attributes:
        is_away: the database is away, busy or full, and the same transaction may work later. False when the
            transaction itself is at fault, so that repeating it would fail again.
    """

    def __init__(self, message: str, *, is_away: bool) -> None:
        self.is_away = is_away
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, for both databases; `statements.py` reads them.

    Attributes:
        sqlite: empty where only PostgreSQL has it; `postgresql` the other way round.
        together: PostgreSQL's form for many sets of parameters at once; `%(rows)s` is a JSON array of them.
    """

    sqlite: str
    postgresql: str
    together: str | None = None


Write = tuple[Statement, Sequence[Parameters]]
"""A command and the sets of parameters that it runs with."""


class Connection(Protocol):
    """One connection, used by one thread at a time. Every method raises `TransactionFailed`."""

    @property
    def dialect(self) -> Dialect:
        """Which database it is."""

    def begin(self) -> None:
        """Start a transaction that writes; connects again when the connection was lost."""

    def begin_reading(self) -> None:
        """Start a transaction that sees one state of the database until `rollback`, and blocks no writer."""

    def commit(self, writes: Sequence[Write] = ()) -> None:
        """Write these, then make the transaction permanent, in one network round trip where there is a network.

        After a failure it is unknown whether it was, so operations can be repeated.
        """

    def rollback(self) -> None:
        """Forget it. Never raises."""

    def rows(self, query: Statement, parameters: Parameters | None = None) -> list[Row]:
        """All rows of a query; a list parameter goes with `IN_LIST`."""

    def rows_together(self, queries: Sequence[tuple[Statement, Parameters]]) -> list[list[Row]]:
        """All rows of several queries, which run in their order and travel in one network round trip."""

    def stream(self, query: Statement, parameters: Parameters | None = None) -> Iterator[Row]:
        """The rows of a query, a few at a time."""

    def run(self, command: Statement, parameters: Parameters | None = None) -> int:
        """Run one command; the number of rows that it changed."""

    def close(self) -> None:
        """Give the connection back. Never raises."""
