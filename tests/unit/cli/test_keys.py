from pathlib import Path

import pytest
from typer.testing import CliRunner

from seekd.cli import keys
from seekd.errors import InvalidParameter
from tests.unit.cli.test_accounts import run, run_json


def test_a_key_is_printed_once_and_listed_without_its_secret(data_dir: Path) -> None:
    made = run_json(keys.app, data_dir, "create", "--account", "open", "--name", "ci", "--model", "a", "--model", "b")
    (listed,) = run_json(keys.app, data_dir, "list")
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert listed["allowed_models"] == ["a", "b"]
    assert listed["shown"] == f"{made['key'][:7]}...{made['key'][-4:]}"
    assert made["key"] not in run(keys.app, data_dir, "list")


def test_a_script_can_read_the_key_from_the_first_line(data_dir: Path) -> None:
    first, second = run(keys.app, data_dir, "create", "--account", "open").splitlines()
    assert len(first) == 35
    assert "not be shown again" in second


def test_a_revoked_key_is_listed_as_revoked(data_dir: Path) -> None:
    key_id = run_json(keys.app, data_dir, "create", "--account", "open")["id"]
    assert run_json(keys.app, data_dir, "list", "--account", "open")[0]["revoked_at"] is None
    revoked = run_json(keys.app, data_dir, "revoke", key_id)
    assert revoked["revoked_at"] is not None
    assert run_json(keys.app, data_dir, "list") == [revoked]


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "--account", "acct_nobody"],
        ["create", "--account", "open", "--expires", "soon"],
        ["create", "--account", "open", "--expires", "999999w"],
        ["revoke", "key_x"],
    ],
)
def test_what_cannot_be_done_says_why(data_dir: Path, arguments: list[str]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        CliRunner().invoke(keys.app, [*arguments, "--data-dir", str(data_dir)], catch_exceptions=False)
    assert caught.value.message.endswith(".")
