"""Reads the statements of the books from files, for both databases.

A file has named statements, each with a comment that says what its text does not:

    -- find_account --
    -- Why it is as it is.
    SELECT name FROM accounts WHERE id = :id;

Parameters are `:name`. Where the databases differ by a word, the file has PostgreSQL's, and this module knows SQLite's:

| in the file | SQLite | PostgreSQL |
|---|---|---|
| `id IN_LIST(:ids)`, a list parameter | `id IN (SELECT value FROM json_each(:ids))` | `id = ANY(:ids)` |
| `INSERT INTO t ROWS(a, b)` | `INSERT INTO t (a, b) VALUES (:a, :b)` | the same, and its form for many rows |
| `FOR UPDATE` | left out: it has one writer at a time | as it is |
| `BYTEA`, `BIGSERIAL` | `BLOB`, `INTEGER` | as they are |
| `WITHOUT ROWID` | as it is | left out |

Where they differ by more, a statement has several forms: `-- name (sqlite) --`, `-- name (postgresql) --`, and
`-- name (together) --`, which is how PostgreSQL does it for many sets of parameters at once; `:rows` is a JSON array of
them. A database without a form of its own and without the common one does not have the statement.
"""

from __future__ import annotations

import re
from pathlib import Path

from seekd.accounts.driver import Statement

DIRECTORY = Path(__file__).parent / "sql"

_HEADER = re.compile(r"^-- (\w+)(?: \((sqlite|postgresql|together)\))? --$", re.MULTILINE)
_COMMENT = re.compile(r"^--.*$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")
_IN_LIST = re.compile(r"IN_LIST\(:([a-z_]+)\)")
_ROWS = re.compile(r"INSERT INTO (\w+) ROWS\(([^)]*)\)")
_ONLY_POSTGRESQL = {" FOR UPDATE": "", " BYTEA": " BLOB", " BIGSERIAL": " INTEGER"}
_ONLY_SQLITE = " WITHOUT ROWID"


def load_statements(path: Path) -> dict[str, Statement]:
    """The statements of a file by name, in their order."""
    _, *parts = _HEADER.split(path.read_text(encoding="utf-8"))
    forms: dict[str, dict[str, str]] = {}
    for name, form, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        assert (form or "") not in forms.get(name, {}), f"{path.name}: {name} is there twice"
        forms.setdefault(name, {})[form or ""] = text
    return {name: _of_forms(of_name) for name, of_name in forms.items()}


def statement(text: str) -> Statement:
    """A statement of one form."""
    return _of_forms({"": text})


def _of_forms(forms: dict[str, str]) -> Statement:
    forms = {form: " ".join(_COMMENT.sub("", text).split()).rstrip(";") for form, text in forms.items()}
    common = forms.get("", "")
    together = forms.get("together")
    if inserted := _ROWS.fullmatch(common):
        table, columns = inserted.groups()
        values = ", ".join(f":{column}" for column in columns.split(", "))
        common = f"INSERT INTO {table} ({columns}) VALUES ({values})"  # noqa: S608 - a file of ours
        together = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {_records(table)}"  # noqa: S608
    return Statement(
        sqlite=_for_sqlite(forms.get("sqlite", common)),
        postgresql=_for_postgresql(forms.get("postgresql", common)),
        together=None if together is None else _for_postgresql(together),
    )


def _records(table: str) -> str:
    return f"json_populate_recordset(NULL::{table}, CAST(:rows AS json))"


def _for_sqlite(text: str) -> str:
    for word, own in _ONLY_POSTGRESQL.items():
        text = text.replace(word, own)
    return _IN_LIST.sub(r"IN (SELECT value FROM json_each(:\1))", text)


def _for_postgresql(text: str) -> str:
    return _PARAMETER.sub(r"%(\1)s", _IN_LIST.sub(r"= ANY(:\1)", text.replace(_ONLY_SQLITE, "")))


sql = load_statements(DIRECTORY / "queries.sql")
"""Every statement by name; a test holds that each is used and none is missing."""
