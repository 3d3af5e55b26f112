import json
from pathlib import Path

from typer.testing import CliRunner

from seekd.accounts.driver import statement
from seekd.accounts.sqlite import SqliteConnection
from seekd.cli import accounts, ledger
from tests.unit.cli.test_accounts import run, run_json


def test_right_books_verify(data_dir: Path) -> None:
    run(accounts.app, data_dir, "top-up", "open", "1.50")
    assert run_json(ledger.app, data_dir, "verify") == {"is_valid": True, "balances": 1, "rows": 1, "problems": []}
    assert run(ledger.app, data_dir, "verify") == "1 ledger rows replay to 1 balances\n"


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
