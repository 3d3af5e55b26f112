import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from seekd.accounts.operations import Settle
from seekd.accounts.refused import Refusal
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement
from seekd.accounts.store import refused_settlements
from seekd.accounts.types import Price, Usage
from seekd.cli import accounts, ledger
from tests.unit.accounts.conftest import free_reservation
from tests.unit.cli.test_accounts import run, run_json


def test_right_books_verify(data_dir: Path) -> None:
    run(accounts.app, data_dir, "top-up", "open", "1.50")
    assert run_json(ledger.app, data_dir, "verify") == {"is_valid": True, "balances": 1, "rows": 1, "problems": []}
    assert run(ledger.app, data_dir, "verify") == "1 ledger rows replay to 1 balances\n"


def test_a_settlement_that_the_database_refuses_is_named_with_what_it_costs(data_dir: Path) -> None:
    reservation = replace(
        free_reservation("r7"), price=Price(hit_micros=0, miss_micros=0, output_micros=100_000_000_000)
    )
    usage = Usage(num_hit_tokens=0, num_miss_tokens=9, num_completion_tokens=4)
    refusal = Refusal(settlement=Settle(reservation=reservation, usage=usage), reason="SQLite: no")
    refused_settlements(data_dir).add([refusal])
    for arguments in (["verify"], ["verify", "--json"]):
        result = CliRunner().invoke(ledger.app, [*arguments, "--data-dir", str(data_dir)])
        assert result.exit_code == 1
        assert "request r7 of open is not settled, 0.40 USD: the database refuses it (SQLite: no)" in result.stdout


def test_a_tampered_row_is_named_and_the_status_is_1(data_dir: Path) -> None:
    run(accounts.app, data_dir, "top-up", "open", "1.50")
    connection = SqliteConnection(data_dir / "books.sqlite3", synchronous="normal", busy_timeout_s=1)
    connection.run(statement("DROP TRIGGER ledger_no_update"))
    connection.run(statement("UPDATE ledger SET micros = 2000000"))
    connection.close()
    for arguments in (["verify"], ["verify", "--json"]):
        result = CliRunner().invoke(ledger.app, [*arguments, "--data-dir", str(data_dir)])
        assert result.exit_code == 1
        assert "open USD: row 1 was changed" in result.stdout
    assert json.loads(result.stdout)["is_valid"] is False
