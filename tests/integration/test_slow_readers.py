"""Clients that stop reading over real HTTP: what they hold is free again in bounded time."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import Limits
from seekd.api.settings import ServerSettings
from seekd.engine.scripted import EmitText, ScriptStep
from seekd.engine.types import EngineRequest
from seekd.testing.server import ScriptedServer

Start = Callable[..., ScriptedServer]

LIMIT_S = 20.0
BODY: dict[str, Any] = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
LONG = {**BODY, "stream": True, "max_tokens": 393_216}  # the most that may be asked for
ONE_AT_ONCE = AccountsSettings(account_limits=Limits(max_concurrency=1))
SETTINGS = ServerSettings(keep_alive_s=0.1)


def _long(request: EngineRequest) -> Iterator[ScriptStep]:
    """Far more than the buffers of both systems hold; other requests get a word."""
    is_long = request.max_tokens == LONG["max_tokens"]
    yield EmitText(text="x" * request.max_tokens if is_long else "free", num_tokens_per_update=1)


@contextlib.contextmanager
def _deaf_client(server: ScriptedServer) -> Iterator[socket.socket]:
    """A client that has asked for a long stream and reads nothing of it."""
    address = urlsplit(server.url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((address.hostname, address.port))
        body = json.dumps(LONG).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield client


def _read_all(client: socket.socket) -> bytes:
    content = bytearray()
    while data := client.recv(1 << 20):
        content += data
    return bytes(content)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def _wait_for_its_place(server: ScriptedServer) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while (answer := httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=60)).status_code == 429:
        assert time.monotonic() < deadline_s, "the client that does not read still holds its place"
        time.sleep(0.02)
    assert answer.json()["choices"][0]["message"]["content"] == "free"


@pytest.mark.parametrize(
    "server",
    [replace(SETTINGS, write_timeout_s=0.3), replace(SETTINGS, request_timeout_s=0.5)],
    ids=["write", "request"],
)
@pytest.mark.fault("client-stops-reading")
def test_a_client_that_stops_reading_gives_its_place_back(seekd_server: Start, server: ServerSettings) -> None:
    running = seekd_server(_long, server=server, accounts=ONE_AT_ONCE, context_length=10**6)
    with _deaf_client(running):
        _wait_until(lambda: bool(running.engine.requests))
        _wait_for_its_place(running)
    assert running.engine.aborted_request_ids == [running.engine.requests[0].request_id]


def test_the_connection_of_a_client_that_stops_reading_is_cut(seekd_server: Start) -> None:
    server = seekd_server(_long, server=replace(SETTINGS, write_timeout_s=0.3), context_length=10**6)
    with _deaf_client(server) as client:
        _wait_until(lambda: bool(server.engine.requests))
        _wait_until(lambda: bool(server.engine.aborted_request_ids))
        client.settimeout(LIMIT_S)
        assert not _read_all(client).endswith(b"0\r\n\r\n"), "the answer has no end"
