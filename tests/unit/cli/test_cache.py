"""`seekd cache`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seekd.cli import cache


@pytest.fixture
def store(tmp_path: Path) -> Path:
    directory = tmp_path / "cache" / "0123"
    directory.mkdir(parents=True)
    (directory / "store.json").write_text(json.dumps({"binding": "model and build"}))
    return directory


def _run(tmp_path: Path, *arguments: str) -> str:
    result = CliRunner().invoke(cache.app, [*arguments, "--data-dir", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_clearing_says_what_was_removed(tmp_path: Path, store: Path) -> None:
    assert "0.0 MiB" in _run(tmp_path, "show").splitlines()[1]
    assert _run(tmp_path, "clear", "--yes") == "1 removed, 0.0 MiB free again\n"
    assert not store.exists()


def test_scripts_get_the_removed_stores(tmp_path: Path, store: Path) -> None:
    [removed] = json.loads(_run(tmp_path, "clear", "--yes", "--json"))
    assert removed["directory"] == str(store)
    assert json.loads(_run(tmp_path, "show", "--json")) == []
