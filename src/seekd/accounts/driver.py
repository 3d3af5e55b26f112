"""A database connection as the books use it: named statements, explicit transactions, one kind of failure.

`sqlite.py` and `postgres.py` are the two kinds.

The hot path speaks to the driver directly, since an ORM session or an async wrapper costs more than the statements.
Foreign exceptions end here: a connection raises `TransactionFailed` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Dialect = Literal["sqlite", "postgresql"]
Row = tuple[Any, ...]  # Any: the columns of a row have different types
Parameters = Mapping[str, Any]  # Any: what a driver accepts

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_IN_LIST = re.compile(r"IN_LIST\(:([a-z_]+)\)")


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
    """One statement, for both databases.

    Attributes:
        together: PostgreSQL's form for many sets of parameters at once; `%(rows)s` is a JSON array of them.
    """

    sqlite: str
    postgresql: str
    together: str | None = None


Write = tuple[Statement, Sequence[Parameters]]
"""A command and the sets of parameters that it runs with."""


def statement(text: str, *, together: str | None = None) -> Statement:
    """Read a statement with `:name` parameters.

    Args:
        text: for one set of parameters.
        together: how PostgreSQL does it for all sets at once, where they may be many; `:rows` holds them.

    Two words are replaced: `IN_LIST(:ids)` tests membership in a list parameter, and `FOR UPDATE` locks the rows
    on PostgreSQL (SQLite has one writer at a time, so that there it is left out).
    """
    text = _on_one_line(text)
    sqlite = _IN_LIST.sub(r"IN (SELECT value FROM json_each(:\1))", text).replace(" FOR UPDATE", "")
    postgresql = _PARAMETER.sub(r"%(\1)s", _IN_LIST.sub(r"= ANY(:\1)", text))
    return Statement(
        sqlite, postgresql, None if together is None else _PARAMETER.sub(r"%(\1)s", _on_one_line(together))
    )


def insert(table: str, columns: str) -> Statement:
    """A statement that adds rows, each a set of parameters named like the columns."""
    names = columns.split()
    columns = ", ".join(names)
    return statement(
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f':{name}' for name in names)})",  # noqa: S608 - constants
        together=f"INSERT INTO {table} ({columns}) SELECT {columns} "  # noqa: S608 - constants
        f"FROM json_populate_recordset(NULL::{table}, CAST(:rows AS json))",
    )


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

    def run_many(self, command: Statement, parameters: Sequence[Parameters]) -> None:
        """Run one command once for each set of parameters."""

    def close(self) -> None:
        """Give the connection back. Never raises."""


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
