"""`seekd audit`."""

import json
from pathlib import Path

from typer.testing import CliRunner

from seekd.cli import accounts
from seekd.cli.main import app
from tests.unit.cli.test_accounts import run_json


def test_changes_are_listed_for_people_and_for_scripts(data_dir: Path) -> None:
    made = run_json(accounts.app, data_dir, "create", "lab")
    run_json(accounts.app, data_dir, "top-up", made["id"], "1.50", "--currency", "USD")
    runner = CliRunner()
    shown = runner.invoke(app, ["audit", "--data-dir", str(data_dir)], catch_exceptions=False).stdout
    assert [line.split("  ")[2:4] for line in shown.splitlines()[1:]] == [
        ["account.top_up", made["id"]],
        ["account.create", made["id"]],
    ]
    arguments = ["audit", "--json", "--limit", "1", "--data-dir", str(data_dir)]
    [entry] = json.loads(runner.invoke(app, arguments, catch_exceptions=False).stdout)
    assert entry["action"] == "account.top_up"
    assert entry["actor"].startswith("command line, user ")
    assert entry["details"]["micros"] == 1_500_000
