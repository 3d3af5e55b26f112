from pathlib import Path

import pytest

from seekd.accounts.types import Limits
from seekd.cli.books import limits_of, open_registry, print_table


def test_the_books_are_those_that_the_settings_name(tmp_path: Path) -> None:
    config = tmp_path / "seekd.toml"
    config.write_text(f'[server]\ndata_dir = "{tmp_path / "from-file"}"\n')
    with open_registry(None, config, makes_new=True) as registry:
        registry.create_account("lab")
    with open_registry(tmp_path / "from-file", None) as registry:
        assert [account.name for account in registry.accounts()] == ["lab", "open"]


def test_a_table_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", "name"), [("x" * 200, None), ("y", 2.6)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "name"]
    assert lines[1] == "x" * 200 + "  -"
    assert lines[2].split() == ["y", "3"]


def test_options_become_limits() -> None:
    assert limits_of(1, 2, 3) == Limits(max_concurrency=1, requests_per_minute=2, tokens_per_minute=3)
    assert limits_of(None, None, None).is_unlimited
