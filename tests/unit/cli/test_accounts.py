import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seekd.cli import accounts, keys, ledger, usage
from seekd.errors import InvalidParameter


def run(app: Any, data_dir: Path, *arguments: str) -> str:  # Any: a Typer app
    """The standard output of a command that must work."""
    result = CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(app: Any, data_dir: Path, *arguments: str) -> Any:  # Any: JSON
    return json.loads(run(app, data_dir, *arguments, "--json"))


@pytest.fixture
def account_id(data_dir: Path) -> str:
    account_id: str = run_json(accounts.app, data_dir, "create", "lab")["id"]
    return account_id


def test_the_shapes_that_scripts_rely_on(data_dir: Path) -> None:
    made = run_json(accounts.app, data_dir, "create", "lab")
    topped_up = run_json(accounts.app, data_dir, "top-up", made["id"], "1.50", "--currency", "USD")
    key = run_json(keys.app, data_dir, "create", "--account", made["id"])
    shown = run_json(accounts.app, data_dir, "show", made["id"])
    assert set(made) >= {"id", "name"}
    assert topped_up["id"] == made["id"]
    assert set(key) >= {"id", "key"}
    assert key["key"].startswith("sk-")
    assert shown["balances"] == [
        {
            "currency": "USD",
            "total_balance": "1.50",
            "granted_balance": "0.00",
            "topped_up_balance": "1.50",
            "held_balance": "0.00",
            "available_balance": "1.50",
        }
    ]


def test_grants_are_shown_apart_and_in_their_currency(data_dir: Path, account_id: str) -> None:
    run(accounts.app, data_dir, "top-up", account_id, "1")
    granted = run_json(accounts.app, data_dir, "grant", account_id, "0.25", "--currency", "CNY", "--expires", "30d")
    assert [(entry["currency"], entry["granted_balance"]) for entry in granted["balances"]] == [
        ("CNY", "0.25"),
        ("USD", "0.00"),
    ]
    listed = run_json(accounts.app, data_dir, "list")
    assert [account["name"] for account in listed] == ["lab", "open"]
    assert "0.25 CNY, 1.00 USD" in run(accounts.app, data_dir, "list")


def test_limits_are_kept(data_dir: Path) -> None:
    made = run_json(accounts.app, data_dir, "create", "lab", "--max-concurrency", "3", "--rpm", "60", "--tpm", "9000")
    assert made["limits"] == {"max_concurrency": 3, "requests_per_minute": 60, "tokens_per_minute": 9000}
    assert run_json(accounts.app, data_dir, "show", made["id"])["limits"] == made["limits"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["top-up", "acct_nobody", "1"],
        ["top-up", "open", "1,5"],
        ["top-up", "open", "0"],
        ["grant", "open", "1", "--expires", "yesterday"],
        ["grant", "open", "1", "--expires", "2001-01-01"],
        ["show", "acct_nobody"],
        ["create", "open"],
    ],
)
def test_what_cannot_be_done_says_why(data_dir: Path, arguments: list[str]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        CliRunner().invoke(accounts.app, [*arguments, "--data-dir", str(data_dir)], catch_exceptions=False)
    assert caught.value.message.endswith(".")


def test_new_books_are_made_where_the_user_says_and_are_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "place"
    run(accounts.app, data_dir, "create", "lab")
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert (data_dir / "books.sqlite3").stat().st_mode & 0o777 == 0o600


def test_usage_of_one_account_is_a_report(data_dir: Path, account_id: str) -> None:
    assert run_json(accounts.app, data_dir, "usage", account_id) == []
    columns = ["--by", "day", "--by", "key", "--by", "model"]
    assert run(accounts.app, data_dir, "usage", "lab", "--csv") == run(usage.app, data_dir, "--csv", *columns)


def test_the_ledger_of_what_was_done_verifies(data_dir: Path, account_id: str) -> None:
    run(accounts.app, data_dir, "top-up", account_id, "2")
    assert "1 ledger rows" in run(ledger.app, data_dir, "verify")


def test_limits_of_an_account_can_be_set_and_lifted(data_dir: Path, account_id: str) -> None:
    limited = run_json(accounts.app, data_dir, "limit", account_id, "--rpm", "60", "--tpm", "1000")
    assert limited["limits"] == {"max_concurrency": None, "requests_per_minute": 60, "tokens_per_minute": 1000}
    assert set(run_json(accounts.app, data_dir, "limit", account_id)["limits"].values()) == {None}
    with pytest.raises(InvalidParameter):
        run(accounts.app, data_dir, "limit", "none", "--rpm", "1")


def test_an_account_goes_by_its_name_too(data_dir: Path, account_id: str) -> None:
    run(accounts.app, data_dir, "top-up", "lab", "1.50")
    key = run_json(keys.app, data_dir, "create", "--account", "lab")
    assert key["account_id"] == account_id
    assert run_json(accounts.app, data_dir, "show", "lab") == run_json(accounts.app, data_dir, "show", account_id)
    assert [found["id"] for found in run_json(keys.app, data_dir, "list", "--account", "lab")] == [key["id"]]
    assert run_json(usage.app, data_dir, "--account", "lab") == []


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(data_dir: Path, account_id: str) -> None:
    with pytest.raises(InvalidParameter, match=r"There is no account 'lba'; did you mean lab\?$"):
        run(accounts.app, data_dir, "show", "lba")


def test_an_account_is_renamed_disabled_and_enabled(data_dir: Path, account_id: str) -> None:
    assert run_json(accounts.app, data_dir, "rename", "lab", "team")["name"] == "team"
    assert run_json(accounts.app, data_dir, "disable", "team")["disabled_at"] is not None
    assert "disabled" in run(accounts.app, data_dir, "list")
    assert run_json(accounts.app, data_dir, "enable", "team")["disabled_at"] is None
    assert run(accounts.app, data_dir, "list").splitlines()[1].split() == [account_id, "team", "0.00", "USD", "enabled"]


def test_a_wrong_top_up_is_taken_back_and_the_ledger_keeps_both(data_dir: Path, account_id: str) -> None:
    run(accounts.app, data_dir, "top-up", "lab", "150", "--reference", "invoice 7")
    left = run_json(accounts.app, data_dir, "take-back", "lab", "148.50", "--reference", "wrong: invoice 7")
    assert left["id"] == account_id
    assert left["balances"][0]["topped_up_balance"] == "1.50"
    assert "2 ledger rows replay to 1 balances" in run(ledger.app, data_dir, "verify")
