from pathlib import Path

import pytest
from typer.testing import CliRunner

from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement
from seekd.cli import usage
from seekd.errors import InvalidParameter
from tests.unit.cli.test_accounts import run, run_json

NOON_MS = 1_795_435_200_000  # 2026-11-23


@pytest.fixture
def used(data_dir: Path) -> Path:
    """Three requests, one of them failed."""
    connection = SqliteConnection(data_dir / "books.sqlite3", synchronous="normal", busy_timeout_s=1)
    for number, (model, is_error) in enumerate((("m", 0), ("m", 1), ("n", 0))):
        connection.run(
            statement("""
                INSERT INTO usage VALUES (:id, 'open', NULL, :model, :at_ms, 'stop', :is_error, 0, 64, 6, 5, 2, 'USD',
                                          1500000, 0, 0, 0, 20.0, 30.0)
            """),
            {"id": str(number), "model": model, "is_error": is_error, "at_ms": NOON_MS},
        )
    connection.close()
    return data_dir


def test_a_report_for_scripts(used: Path) -> None:
    lines = run_json(usage.app, used)
    assert [(line["day"], line["model"], line["num_requests"], line["num_errors"]) for line in lines] == [
        ("2026-11-23", "m", 2, 1),
        ("2026-11-23", "n", 1, 0),
    ]
    assert (lines[0]["cost"], lines[0]["currency"], lines[0]["latency_p99_ms"]) == ("3.00", "USD", 30.0)


def test_a_report_for_people_has_a_line_for_each_group(used: Path) -> None:
    lines = run(usage.app, used, "--by", "model").splitlines()
    assert lines[0].split()[:3] == ["model", "requests", "errors"]
    assert [line.split()[:3] for line in lines[1:]] == [["m", "2", "1"], ["n", "1", "0"]]


def test_a_report_can_be_cut(used: Path) -> None:
    assert len(run_json(usage.app, used, "--model", "n", "--since", "2026-11-23", "--until", "2026-11-24")) == 1
    assert run_json(usage.app, used, "--since", "2026-11-24") == []
    assert len(run_json(usage.app, used, "--account", "open")) == 2
    with pytest.raises(InvalidParameter, match="There is no account 'acct_other'"):
        run_json(usage.app, used, "--account", "acct_other")


def test_csv_goes_into_a_spreadsheet(used: Path) -> None:
    header, *rows = run(usage.app, used, "--csv", "--by", "account").splitlines()
    assert header.split(",")[:3] == ["account_id", "currency", "num_requests"]
    assert rows[0].startswith("open,USD,3,1,0,192,18,15,6,4.50,")


def test_csv_has_the_same_columns_whatever_was_used(used: Path) -> None:
    every = [["--since", "2026-11-24"], ["--model", "none"], []]
    assert len({run(usage.app, used, "--csv", *arguments).splitlines()[0] for arguments in every}) == 1


def test_a_date_that_is_none_is_named(used: Path) -> None:
    with pytest.raises(InvalidParameter, match="tomorrow"):
        CliRunner().invoke(usage.app, ["--since", "tomorrow", "--data-dir", str(used)], catch_exceptions=False)
