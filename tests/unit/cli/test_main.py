"""The `seekd` program as a new user meets it: each mistake is one sentence, and nothing is made by looking."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seekd.accounts.settings import books_path
from seekd.accounts.sqlite import SqliteConnection
from seekd.accounts.statements import statement
from seekd.cli.main import app, main
from seekd.models.locate import find_model_file


def seekd(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEEKD_")}
    return subprocess.run(
        [sys.executable, "-m", "seekd", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def invoke(*arguments: str) -> str:
    """The output of a command that must work."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("group", [[], ["accounts"], ["keys"], ["ledger"], ["cache"], ["models"]])
def test_a_command_without_its_subcommand_lists_them_and_is_no_mistake(group: list[str]) -> None:
    assert "Commands" in invoke(*group)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["count", "{tmp}/none.txt"], "none.txt cannot be read: No such file"),
        (["count", "{tmp}"], "cannot be read: Is a directory"),
        (["serve", "--port", "0", "--data-dir", "{tmp}/file"], "file cannot be used: it is a file"),
        (["serve", "--port", "0", "--data-dir", "{tmp}/file/below"], "cannot be used: it is a file, or lies in one"),
        (["accounts", "create", "x", "--data-dir", "{tmp}/file"], "cannot be used: it is a file"),
        (["serve", "--port", "0", "--model", "{tmp}"], "is a directory"),
        (["serve", "--log-level", "loud"], "flag --log-level: log.level = 'loud' is not valid: expected one of debug,"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "file").touch()
    done = seekd(*(argument.format(tmp=tmp_path) for argument in arguments))
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("seekd: ")
    assert words in line


@pytest.mark.parametrize("arguments", [["serve", "--port", "0"], ["accounts", "create", "x"]])
def test_a_home_that_cannot_be_written_is_one_sentence(arguments: list[str]) -> None:
    done = seekd(*arguments, HOME="/proc/none", XDG_DATA_HOME="")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert line.startswith("seekd: The data directory /proc/none/.local/share/seekd cannot be used: ")
    assert "--data-dir" in line


@pytest.mark.parametrize(
    "command",
    [
        ["accounts", "list"],
        ["accounts", "show", "open"],
        ["accounts", "top-up", "open", "1"],
        ["keys", "list"],
        ["keys", "create", "--account", "open"],
        ["usage"],
        ["ledger", "verify"],
        ["audit"],
        ["cache", "show"],
        ["cache", "clear", "--yes"],
    ],
)
def test_a_mistyped_data_directory_is_told_and_not_made(tmp_path: Path, command: list[str]) -> None:
    mistyped = tmp_path / "mistyped"
    result = CliRunner().invoke(app, [*command, "--data-dir", str(mistyped)])
    assert result.exit_code == 1
    assert str(mistyped) in str(result.exception)
    assert "--data-dir" in str(result.exception)
    assert not mistyped.exists()


def test_count_and_config_speak_json(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Hello!")
    shown = json.loads(invoke("count", str(text), "--json"))
    assert shown == {"tokens": int(invoke("count", str(text)))}
    settings = {row["name"]: row for row in json.loads(invoke("config", "--json", "--data-dir", str(tmp_path)))}
    assert settings["server.data_dir"] == {
        "name": "server.data_dir",
        "value": str(tmp_path),
        "origin": "flag --data-dir",
    }
    assert settings["server.port"]["value"] == 8000


def test_what_a_model_is_counted_for_may_be_a_path(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Hello!")
    assert int(invoke("count", str(text), "--model", str(find_model_file("bundled")))) > 0


def test_the_terminal_also_gets_what_the_database_said(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = SqliteConnection(books_path(data_dir), synchronous="normal", busy_timeout_s=1)
    connection.run(statement("ALTER TABLE usage RENAME TO away"))
    connection.close()
    monkeypatch.setattr(sys, "argv", ["seekd", "usage", "--data-dir", str(data_dir)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert capsys.readouterr().err == "seekd: The usage could not be read. (SQLite: no such table: usage)\n"


@pytest.mark.parametrize(
    ("words", "position", "found"), [("seekd key", 1, "keys"), ("seekd chat --base", 2, "--base-url")]
)
def test_a_shell_completes_commands_and_options(words: str, position: int, found: str) -> None:
    environment = {**os.environ, "_SEEKD_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    program = "import sys; sys.argv = ['seekd']; from seekd.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert found in done.stdout.split()
