"""Prompts of megabytes harm nobody, and neither a client that leaves nor the end of the server waits for them."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.types import Limits
from seekd.engine.scripted import say
from seekd.models.locate import find_model_file
from seekd.testing.server import ScriptedServer
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


def _peak_mib(server: ServerProcess) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert found
    return int(found[1]) // 1024


@pytest.mark.fault("huge-prompt")
def test_a_prompt_of_megabytes_is_read_no_further_than_it_matters(server: ServerProcess) -> None:
    before_mib = _peak_mib(server)
    error = _ask(server, "The quick brown fox jumps over the lazy dog. " * 133_000).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert "is 8192 tokens, the prompt has at least 100001 and 2 were asked for" in error["message"]
    assert _peak_mib(server) - before_mib < 120  # MiB; its six megabytes are there several times

    counted = httpx.post(f"{server.url}/tokenize", json={"text": "a" * 5_000_000}, timeout=LIMIT_S)
    assert counted.status_code == 400
    assert "5000000 bytes of text; this server takes 4MiB (server.max_tokenized_bytes)" in counted.text
    headers = {"x-seekd-context": "drop"}
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "a" * 5_000_000}]}
    dropped = httpx.post(f"{server.url}/chat/completions", json=body, headers=headers, timeout=LIMIT_S)
    assert (dropped.status_code, "server.max_tokenized_bytes" in dropped.text) == (400, True)


@pytest.mark.fault("tokens-for-nothing")
def test_counting_tokens_counts_as_a_request(seekd_server: Callable[..., ScriptedServer]) -> None:
    limits = Limits(requests_per_minute=2, tokens_per_minute=1)
    url = seekd_server(say("x"), accounts=AccountsSettings(account_limits=limits)).url
    first = httpx.post(f"{url}/tokenize", json={"text": "hello"})
    assert (first.status_code, first.headers["x-ratelimit-remaining-requests"]) == (200, "1")
    message = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    assert httpx.post(f"{url}/anthropic/v1/messages/count_tokens", json=message).status_code == 200
    refused = httpx.post(f"{url}/tokenize", json={"text": "hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.fault("tokens-for-nothing")
def test_nothing_long_is_read_for_who_cannot_pay(seekd_server: Callable[..., ScriptedServer]) -> None:
    price = PriceSetting(model="deepseek-chat", currency="USD", hit="1", miss="1", output="1")
    url = seekd_server(say("x"), accounts=AccountsSettings(prices=(price,))).url
    long = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "x" * 200_000}]}
    assert httpx.post(f"{url}/chat/completions", json=long).status_code == 402, "and not that it is too long"
    for body in ({"text": "hello"}, {"model": "deepseek-chat", "text": "hello"}, long):
        assert httpx.post(f"{url}/tokenize", json=body).status_code == 402
