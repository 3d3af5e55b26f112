"""`seekd models` beside a folder of downloaded models; `pull` is tested as a process, with a hub on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seekd.cli import models
from seekd.errors import ConfigError, DownloadError
from seekd.models.locate import find_model_file
from seekd.models.names import parse_hub_file
from seekd.models.store import ModelStore
from tests.unit.cli.test_accounts import run, run_json

NAME = "hf:maker/model-GGUF:model-Q8_0.gguf"
SOURCE = parse_hub_file(NAME)
KNOWN = "deepseek-r1-distill-qwen-1.5b"


@pytest.fixture
def downloaded(data_dir: Path) -> Path:
    path = ModelStore(data_dir / "models").path_of(SOURCE.repo, SOURCE.path)
    path.parent.mkdir(parents=True)
    shutil.copy(find_model_file("bundled"), path)
    return path


def test_known_and_downloaded_models_are_listed(data_dir: Path, downloaded: Path) -> None:
    listing = run_json(models.app, data_dir, "list")
    rows = {row["name"]: row for row in listing["models"]}
    assert (rows[NAME]["is_downloaded"], rows[NAME]["path"]) == (True, str(downloaded))
    assert not rows[KNOWN]["is_downloaded"]
    assert rows[KNOWN]["runs_here"]
    assert listing["machine"]["memory_bytes"] > 0
    text = run(models.app, data_dir, "list")
    assert KNOWN in text
    assert "This machine:" in text


def test_an_unfinished_download_is_listed_with_what_has_arrived(data_dir: Path) -> None:
    partial = ModelStore(data_dir / "models").partial_of(SOURCE.repo, SOURCE.path, "a" * 64)
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(2_000_000))
    assert "2.0 MB of it" in run(models.app, data_dir, "list")


def test_show_tells_what_a_file_is_and_needs(data_dir: Path, downloaded: Path) -> None:
    for file in (NAME, str(downloaded), "bundled"):
        facts = run_json(models.app, data_dir, "show", file)
        assert (facts["architecture"], facts["quantization"]) == ("deepseek2", "Q8_0")
        assert (facts["chat_format"], facts["temperature_mapping"]) == ("deepseek-v4.1", "v3")
        assert facts["memory_bytes"] > facts["weights_bytes"] == downloaded.stat().st_size
    assert "chat format: deepseek-v4.1" in run(models.app, data_dir, "show", NAME)


def test_a_removed_model_is_gone(data_dir: Path, downloaded: Path) -> None:
    size = downloaded.stat().st_size
    assert run_json(models.app, data_dir, "rm", NAME, "--yes") == {"name": NAME, "freed_bytes": size}
    assert not downloaded.exists()


def test_nothing_is_removed_without_a_yes(data_dir: Path, downloaded: Path) -> None:
    result = CliRunner().invoke(models.app, ["rm", NAME, "--data-dir", str(data_dir)], input="n\n")
    assert result.exit_code == 1
    assert downloaded.exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["rm", NAME, "--yes"], DownloadError, "not downloaded"),
        (["rm", "bundled"], ConfigError, "comes with seekd"),
        (["pull", "deepseek-r1-distil-qwen-7b"], ConfigError, "did you mean deepseek-r1-distill-qwen-7b"),
        (["show", NAME], ConfigError, "seekd models pull"),
        (["show", __file__], ConfigError, "not a GGUF file"),
    ],
)
def test_what_cannot_be_done_says_why(data_dir: Path, arguments: list[str], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        CliRunner().invoke(models.app, [*arguments, "--data-dir", str(data_dir)], catch_exceptions=False)


def test_no_command_but_a_download_imports_the_hubs_client() -> None:
    code = "import sys, seekd.cli.main, seekd.app; print(sorted({'huggingface_hub', 'httpx2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
