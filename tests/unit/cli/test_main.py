"""What the program says when something is wrong, and with which status it leaves."""

import sys
from pathlib import Path

import pytest

from seekd.accounts.driver import statement
from seekd.accounts.settings import books_path
from seekd.accounts.sqlite import SqliteConnection
from seekd.cli.main import main


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
