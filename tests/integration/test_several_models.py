"""Several models behind one door: each loaded when it is asked for, within a budget, and one that is damaged."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import httpx
import pytest

from seekd.models.locate import find_model_file
from tests.integration.conftest import ServerProcess, StartServer

CONFIG = """
[server]
keep_alive_s = 0.05

[model]
memory_budget = "400MiB"

[engine]
kv_memory = "64MiB"
cache_ram = 0
cache_disk = 0

[models."deepseek-chat"]
source = "bundled"

[models."deepseek-flash"]
source = "bundled"

[models."deepseek-reasoner"]
source = "{folder}/other.gguf"

[models.broken]
source = "{folder}/broken.gguf"
"""


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    bundled = find_model_file("bundled")
    shutil.copy(bundled, tmp_path / "other.gguf")
    (tmp_path / "broken.gguf").write_bytes(bundled.read_bytes()[:100_000])
    config = tmp_path / "seekd.toml"
    config.write_text(CONFIG.format(folder=tmp_path))
    server = start_server("--config", str(config))
    server.wait_until_ready()
    return server


def _ask(server: ServerProcess, model: str, **fields: object) -> httpx.Response:
    body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "Hello!"}], **fields}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=120)


def _loaded(server: ServerProcess) -> set[str]:
    text = httpx.get(f"{server.url}/metrics").text
    return set(re.findall(r'seekd_model_loaded\{model="([^"]+)"\} 1', text))


def test_models_are_loaded_when_asked_for_and_make_room_for_each_other(server: ServerProcess) -> None:
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    assert [card["id"] for card in httpx.get(f"{server.url}/models").json()["data"]] == [
        "deepseek-chat",
        "deepseek-flash",
        "deepseek-reasoner",
    ]
    assert _loaded(server) == set()

    lines = _ask(server, "deepseek-chat", stream=True).text.splitlines()
    assert lines[0] == ": keep-alive", "the client hears something while the model is loaded"
    assert lines[-2] == "data: [DONE]"
    assert _loaded(server) == {"deepseek-chat"}

    answer = _ask(server, "deepseek-reasoner")
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "deepseek-reasoner"
    assert _loaded(server) == {"deepseek-reasoner"}

    # Clients of the Messages API send names of any kind; deepseek-flash shares its model with deepseek-chat.
    message = {"model": "claude-sonnet-4", "max_tokens": 5, "messages": [{"role": "user", "content": "Hello!"}]}
    assert httpx.post(f"{server.url}/anthropic/v1/messages", json=message, timeout=120).status_code == 200
    assert _loaded(server) == {"deepseek-chat"}

    reasoner = {"model": "deepseek-reasoner", "text": "hello"}
    count = httpx.post(f"{server.url}/tokenize", json=reasoner, timeout=60)
    assert count.status_code == 200
    assert _loaded(server) == {"deepseek-reasoner"}


def test_names_without_a_model_and_damaged_models_are_told_and_the_others_serve(server: ServerProcess) -> None:
    unknown = _ask(server, "deepseek-v4-pro")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (400, "model_not_found")
    assert "deepseek-chat, deepseek-flash, deepseek-reasoner" in unknown.json()["error"]["message"]
    # Every route says the same, also for names that are nobody's and for those that stand for an official one.
    for body in ({"model": "nobody"}, {"model": "claude-opus-4", "max_tokens": 5}):
        path = "/anthropic/v1/messages" if "max_tokens" in body else "/v1/chat/completions"
        message = {**body, "messages": [{"role": "user", "content": "Hello!"}]}
        error = httpx.post(f"{server.url}{path}", json=message, timeout=60).json()["error"]["message"]
        assert error == unknown.json()["error"]["message"].replace("deepseek-v4-pro", str(body["model"]))
    ready = server.wait_for_line("seekd is ready")
    assert "without broken, which cannot be loaded" in ready
    assert "as broken" not in ready
    broken = _ask(server, "broken")
    assert broken.status_code == 500
    assert "The model broken cannot be loaded" in broken.json()["error"]["message"]
    assert "gguf" not in broken.text, "the server's paths stay in its log"
    assert any("broken.gguf" in line for line in server.lines)
    assert _ask(server, "deepseek-chat").status_code == 200
