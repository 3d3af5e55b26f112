"""Prompts of megabytes harm nobody, and neither a client that leaves nor the end of the server waits for them."""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seekd.models.locate import find_model_file
from tests.integration.conftest import ServerProcess, StartServer

LIMIT_S = 60.0

TWO_MODELS = """
[server]
keep_alive_s = 0.05
shutdown_grace_s = 0.1

[model]
memory_budget = "100MiB"

[engine]
kv_memory = "64MiB"
cache_ram = 0
cache_disk = 0

[models."deepseek-chat"]
source = "bundled"

[models."deepseek-reasoner"]
source = "{folder}/other.gguf"
"""

MEGABYTES = random.Random(1).randbytes(1_900_000).hex()
"""Takes seconds: nearly every character is a token."""


@pytest.fixture
def two_models(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """A server with room for one of its models, which overwrites what it frees."""
    shutil.copy(find_model_file("bundled"), tmp_path / "other.gguf")
    config = tmp_path / "seekd.toml"
    config.write_text(TWO_MODELS.format(folder=tmp_path))
    return start_server("--config", str(config), MALLOC_PERTURB_="165").wait_until_ready()


def _ask(server: ServerProcess, text: str, model: str = "deepseek-chat") -> httpx.Response:
    body = {"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": text}]}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=LIMIT_S)


@contextlib.contextmanager
def _tokenizing(server: ServerProcess) -> Iterator[None]:
    """A client whose conversation is being tokenized to its end, with a model that was loaded for it."""
    body = {"model": "deepseek-chat", "stream": True, "messages": [{"role": "user", "content": MEGABYTES}]}
    url, headers = f"{server.url}/v1/chat/completions", {"x-seekd-context": "drop"}
    with httpx.stream("POST", url, json=body, headers=headers, timeout=LIMIT_S) as answer:
        comments = answer.iter_raw()
        next(comments)
        server.wait_for_line('"model_loaded".*"model":"deepseek-chat"')
        for _ in range(5):  # the few turns of the event loop until a thread has begun
            httpx.get(f"{server.url}/livez")
        yield


@pytest.mark.fault("vocabulary-in-use")
def test_a_model_goes_only_when_no_thread_reads_its_vocabulary(two_models: ServerProcess) -> None:
    with _tokenizing(two_models):
        pass
    assert _ask(two_models, "Hello!", "deepseek-reasoner").status_code == 200
    assert two_models.stop() == 0


@pytest.mark.fault("vocabulary-in-use")
def test_a_server_that_is_stopped_while_it_tokenizes_ends_well(two_models: ServerProcess) -> None:
    with _tokenizing(two_models):
        assert two_models.stop() == 0


@pytest.mark.fault("unbroken-run")
def test_a_long_run_of_one_kind_of_character_is_only_text(http: httpx.Client) -> None:
    for run in ("a", " ", ".", "天"):
        assert http.post("/tokenize", json={"text": run * 100_000}).json()["num_tokens"] > 0
    answer = http.post(
        "/chat/completions", json={"model": "deepseek-chat", "messages": [{"role": "user", "content": "=" * 60_000}]}
    )
    assert answer.json()["error"]["code"] == "context_length_exceeded"
