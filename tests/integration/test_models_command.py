"""`seekd models pull` and `seekd serve --model` as processes, with `HF_ENDPOINT` at a hub on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seekd.models.locate import find_model_file
from tests.hub import HubDouble, serve_hub
from tests.integration.conftest import StartServer

NAME = "hf:maker/model-GGUF:model-Q8_0.gguf"


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with serve_hub({"maker/model-GGUF": {"model-Q8_0.gguf": find_model_file("bundled").read_bytes()}}) as double:
        yield double


def _pull(data_dir: Path, endpoint: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "SEEKD_"))}
    return subprocess.run(
        [sys.executable, "-m", "seekd", "models", "pull", name, "--data-dir", str(data_dir)],
        env=environment | {"HF_ENDPOINT": endpoint, "HF_HOME": str(data_dir / "hf")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_pull_from_a_mirror_ends_with_the_line_that_serves_it(hub: HubDouble, tmp_path: Path) -> None:
    done = _pull(tmp_path, hub.url)
    assert done.returncode == 0, done.stderr
    assert f"seekd serve --model {NAME}" in done.stdout
    [path] = (tmp_path / "models").rglob("*.gguf")
    assert path.read_bytes() == find_model_file("bundled").read_bytes()
    assert "Downloading model-Q8_0.gguf" in done.stderr


def test_a_pull_without_a_network_is_one_sentence(tmp_path: Path) -> None:
    done = _pull(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert line.startswith("seekd: http://127.0.0.1:9 cannot be reached")


def test_a_model_that_is_not_here_is_downloaded_and_served(
    hub: HubDouble, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    server = start_server("--model", NAME)
    server.wait_until_ready()
    assert any("Downloading model-Q8_0.gguf" in line for line in server.lines)
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello!"}]}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
    assert answer.status_code == 200, answer.text
