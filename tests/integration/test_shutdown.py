"""A server that is told to stop while requests run, with a real engine: nobody is left without a word."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from seekd.accounts.registry import Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID
from seekd.errors import ShuttingDown
from tests.integration.conftest import ServerProcess, StartServer

LIMIT_S = 30.0
SHUTTING_DOWN = ShuttingDown().message
CONFIGURATION = """
[server]
keep_alive_s = 0.05
shutdown_grace_s = {grace_s}

[[accounts.prices]]
model = "deepseek-chat"
currency = "USD"
hit = "1"
miss = "10"
output = "1"

[engine]
batch_tokens = 32
chunk_tokens = 32
"""


@pytest.fixture
def start(start_server: StartServer, tmp_path: Path) -> Callable[[float], ServerProcess]:
    """Start a server whose open account has money and whose engine computes 32 tokens a step."""

    def start_with(grace_s: float) -> ServerProcess:
        config = tmp_path / "seekd.toml"
        config.write_text(CONFIGURATION.format(grace_s=grace_s))
        server = start_server("--config", str(config)).wait_until_ready()
        with closing(open_connection(AccountsSettings(), tmp_path / "data")) as connection:
            Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=100_000_000)
        return server

    return start_with


class Client:
    """A request that takes long, and what came of it, read by a thread of its own."""

    def __init__(self, server: ServerProcess, *, stream: bool) -> None:
        self.lines: list[str] = []
        self.status = 0
        self._url = f"{server.url}/v1/chat/completions"
        text = f"{stream} " + " ".join(f"word{number}" for number in range(1500))
        self._body = {
            "model": "deepseek-chat",
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 1,
            "stream": stream,
        }
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def finish(self) -> list[str]:
        self._thread.join(LIMIT_S)
        return self.lines

    def _run(self) -> None:
        with (
            contextlib.suppress(httpx.TransportError),
            httpx.stream("POST", self._url, json=self._body, timeout=LIMIT_S) as response,
        ):
            self.status = response.status_code
            self.lines += (line for line in response.iter_lines() if line)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def _is_running_two(server: ServerProcess) -> bool:
    return 'seekd_num_requests_running{model="default"} 2.0' in httpx.get(f"{server.url}/metrics").text


def _is_refusing(server: ServerProcess) -> bool:
    try:
        httpx.get(f"{server.url}/livez")
    except httpx.TransportError:  # refused, or reset in the moment when the socket closes
        return True
    return False


def _books(tmp_path: Path) -> tuple[list[str], list[int]]:
    """How the requests ended, and the prompt tokens that they paid for; no hold is left."""
    with closing(open_connection(AccountsSettings(), tmp_path / "data")) as connection:
        assert connection.rows(statement("SELECT request_id FROM holds")) == []
        rows = connection.rows(statement("SELECT outcome, num_miss_tokens FROM usage"))
    return [row[0] for row in rows], [row[1] for row in rows]


@pytest.mark.fault("stopped-with-requests")
def test_requests_that_outlast_the_grace_period_get_an_error_and_are_settled(
    start: Callable[[float], ServerProcess], tmp_path: Path
) -> None:
    server = start(0.2)
    stream, whole = Client(server, stream=True), Client(server, stream=False)
    _wait_until(lambda: bool(stream.lines) and _is_running_two(server))
    assert server.stop() == 0
    lines = stream.finish()
    assert (stream.status, json.loads(lines[-1].removeprefix("data: "))["error"]["message"]) == (200, SHUTTING_DOWN)
    assert "[DONE]" not in "".join(lines)
    [body] = whole.finish()
    assert (whole.status, json.loads(body)["error"]["message"]) == (503, SHUTTING_DOWN)
    outcomes, paid = _books(tmp_path)
    assert set(outcomes) == {"shutdown"}  # at least one; a prompt that still waited for its turn costs nothing
    assert min(paid) > 0


@pytest.mark.fault("stopped-twice")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_server_at_once(
    start: Callable[[float], ServerProcess], number: signal.Signals
) -> None:
    server = start(3600)
    stream, whole = Client(server, stream=True), Client(server, stream=False)
    _wait_until(lambda: bool(stream.lines) and _is_running_two(server))
    server.process.send_signal(number)
    _wait_until(lambda: _is_refusing(server))
    assert server.process.poll() is None
    assert server.stop(number) == 128 + number
    stream.finish()
    whole.finish()
