"""A prompt that was computed for a client who left is paid for, with a real engine that was interrupted in it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID
from tests.integration.conftest import ServerProcess, StartServer

LIMIT_S = 30.0
CONFIGURATION = """
[[accounts.prices]]
model = "deepseek-chat"
currency = "USD"
hit = "1"
miss = "10"
output = "1"

[engine]
batch_tokens = 64
chunk_tokens = 64
"""
BODY: dict[str, Any] = {
    "model": "deepseek-chat",
    "messages": [{"role": "user", "content": " ".join(f"word{number}" for number in range(300))}],
    "max_tokens": 1,
}


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.01)


def _metric(server: ServerProcess, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def _usage(server: ServerProcess) -> dict[str, int]:
    lines = httpx.get(f"{server.url}/user/usage").json()
    return {name: sum(line[name] for line in lines) for name in ("num_requests", "num_hit_tokens", "num_miss_tokens")}


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """A server whose open account has money; a step of its engine computes 64 tokens."""
    config = tmp_path / "seekd.toml"
    config.write_text(CONFIGURATION)
    server = start_server("--config", str(config)).wait_until_ready()
    connection = open_connection(AccountsSettings(), tmp_path / "data")
    try:
        Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=100_000_000)
    finally:
        connection.close()
    return server


@pytest.mark.fault("abandoned-prompt")
def test_a_prompt_whose_client_left_is_paid_before_anybody_gets_its_blocks_cheaply(server: ServerProcess) -> None:
    address = urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    with socket.create_connection((address.hostname, address.port)) as client:
        body = json.dumps(BODY).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        _wait_until(lambda: _metric(server, "seekd_prompt_tokens_total") > 0, "nothing was computed")
    _wait_until(lambda: _metric(server, "seekd_num_requests_running") == 0, "the request still runs")
    usage = httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=60).json()["usage"]
    assert usage["prompt_cache_hit_tokens"] >= 64
    _wait_until(lambda: _usage(server)["num_requests"] == 2, f"the abandoned prompt was free: {_usage(server)}")
    used = _usage(server)
    assert used["num_hit_tokens"] == usage["prompt_cache_hit_tokens"]
    assert used["num_miss_tokens"] >= usage["prompt_tokens"], "each token was paid as a miss once"
    assert used["num_miss_tokens"] < 2 * usage["prompt_tokens"], "what was not computed was not paid"
