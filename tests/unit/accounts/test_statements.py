import re
from collections.abc import Callable
from pathlib import Path

import pytest

import seekd.accounts
from seekd.accounts.driver import Connection, Statement
from seekd.accounts.statements import load_statements, sql, statement

SOURCE = Path(seekd.accounts.__file__).parent


def load(tmp_path: Path, text: str) -> dict[str, Statement]:
    path = tmp_path / "some.sql"
    path.write_text(text)
    return load_statements(path)


def test_a_file_has_named_statements_with_comments(tmp_path: Path) -> None:
    loaded = load(tmp_path, "-- A head.\n-- a --\n-- Why: x.\nSELECT 1\nFROM t;\n-- ===== part\n-- b --\nSELECT 2;\n")
    assert {name: found.sqlite for name, found in loaded.items()} == {"a": "SELECT 1 FROM t", "b": "SELECT 2"}
    assert {found.postgresql for found in loaded.values()} == {"SELECT 1 FROM t", "SELECT 2"}


def test_forms_of_their_own_go_before_the_common_one(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "-- a (sqlite) --\nPRAGMA x;\n-- b --\nSELECT :id;\n-- b (postgresql) --\nSELECT now();\n"
        "-- b (together) --\nSELECT CAST(:rows AS json);\n",
    )
    assert loaded["a"] == Statement("PRAGMA x", "")
    assert loaded["b"] == Statement("SELECT :id", "SELECT now()", "SELECT CAST(%(rows)s AS json)")


def test_a_name_is_there_once(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a is there twice"):
        load(tmp_path, "-- a --\nSELECT 1;\n-- a --\nSELECT 2;\n")


def test_a_statement_is_written_for_both_databases() -> None:
    query = statement("""
        SELECT a::text FROM t WHERE id = :id
        AND name IN_LIST(:names) ORDER BY id FOR UPDATE
    """)
    assert query.sqlite == (
        "SELECT a::text FROM t WHERE id = :id AND name IN (SELECT value FROM json_each(:names)) ORDER BY id"
    )
    assert query.postgresql == (
        "SELECT a::text FROM t WHERE id = %(id)s AND name = ANY(%(names)s) ORDER BY id FOR UPDATE"
    )


def test_types_are_written_for_both_databases() -> None:
    table = statement("CREATE TABLE t (id BIGSERIAL NOT NULL, hash BYTEA) WITHOUT ROWID")
    assert table.sqlite == "CREATE TABLE t (id INTEGER NOT NULL, hash BLOB) WITHOUT ROWID"
    assert table.postgresql == "CREATE TABLE t (id BIGSERIAL NOT NULL, hash BYTEA)"


def test_rows_are_inserted_one_by_one_or_together() -> None:
    insert = statement("INSERT INTO t ROWS(a, b)")
    assert insert == Statement(
        "INSERT INTO t (a, b) VALUES (:a, :b)",
        "INSERT INTO t (a, b) VALUES (%(a)s, %(b)s)",
        "INSERT INTO t (a, b) SELECT a, b FROM json_populate_recordset(NULL::t, CAST(%(rows)s AS json))",
    )


def test_every_statement_is_used_and_none_is_missing() -> None:
    used = {name for path in SOURCE.glob("*.py") for name in re.findall(r'sql\["(\w+)"\]', path.read_text())}
    assert used == sql.keys()


@pytest.mark.parametrize("name", sorted(name for name, found in sql.items() if found.sqlite))
def test_every_statement_fits_the_schema(name: str, connect: Callable[[], Connection]) -> None:
    text = sql[name].sqlite
    parameters = dict.fromkeys(re.findall(r":([a-z_]+)", text))
    assert connect().rows(Statement(f"EXPLAIN {text}", ""), parameters)
