"""Web pages of other origins over real HTTP: what a browser asks before, and what it lets a page read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID
from seekd.engine.scripted import say
from seekd.errors import ConfigError
from seekd.testing.server import ScriptedServer, serve_script
from seekd.wire.openapi import OPERATIONS

Start = Callable[..., ScriptedServer]

PAGE = "https://app.example"
ALLOWED = AccountsSettings(allowed_origins=(PAGE,))
BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}


def _key(data_dir: Path) -> str:
    with closing(open_connection(AccountsSettings(), data_dir)) as connection:
        return Registry(connection).create_key(OPEN_ACCOUNT_ID, KeyOptions()).secret


def _ask(server: ScriptedServer, method: str, path: str, *, origin: str = PAGE, **headers: str) -> httpx.Response:
    body = BODY if method == "POST" else None
    return httpx.request(method, f"{server.url}{path}", json=body, headers={"origin": origin, **headers}, timeout=60)


def _may_read(response: httpx.Response, origin: str = PAGE) -> bool:
    return bool(response.headers.get("access-control-allow-origin") == origin)


def test_a_browser_may_ask_for_every_public_route_without_a_key(seekd_server: Start, tmp_path: Path) -> None:
    server = seekd_server(say("x"), accounts=ALLOWED, data_dir=tmp_path)
    _key(tmp_path)
    wanted = {"access-control-request-headers": "authorization,x-api-key,x-stainless-os,anthropic-version"}
    paths = {f"{base.rstrip('/')}{each.path}" for each in OPERATIONS for base in each.bases if each.security == "key"}
    with httpx.Client(base_url=server.url, headers={"origin": PAGE, **wanted}, timeout=60) as client:
        for path in sorted(paths):
            for method in ("GET", "POST", "DELETE"):
                asked = client.options(path, headers={"access-control-request-method": method})
                assert asked.is_success, path
                assert _may_read(asked)
                assert "x-stainless-os" in asked.headers["access-control-allow-headers"]


@pytest.mark.parametrize("dialect", ["classic", "hosted"])
def test_a_page_may_read_answers_and_errors(seekd_server: Start, tmp_path: Path, dialect: str) -> None:
    server = seekd_server(say("x"), accounts=ALLOWED, data_dir=tmp_path)
    known = {"authorization": f"Bearer {_key(tmp_path)}", "x-seekd-dialect": dialect}
    for method, path, headers, status in (
        ("POST", "/v1/chat/completions", known, 200),
        ("POST", "/v1/chat/completions", {}, 401),
        ("POST", "/v1/responses", known, 400),
        ("POST", "/v1/models", known, 405),
        ("GET", "/v1/models/none", known, 404),
        ("POST", "/v1/tools/search", known, 404),
    ):
        response = _ask(server, method, path, **headers)
        assert (response.status_code, _may_read(response)) == (status, True), path
        assert not _may_read(_ask(server, method, path, origin="https://other.example", **headers))


def test_a_page_learns_that_the_server_stops_before_its_request_was_read(tmp_path: Path) -> None:
    with serve_script(say("x"), data_dir=tmp_path, accounts=ALLOWED) as server:
        address = urlsplit(server.url)
        connection = socket.create_connection((address.hostname or "", address.port or 0), timeout=60)
        head = f"host: {address.netloc}\r\norigin: {PAGE}\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
        connection.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}content-length: 9\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100"), "the server waits for the body"
    with connection:
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503")
    assert f"access-control-allow-origin: {PAGE}".encode() in answer


def test_an_open_server_answers_the_pages_that_it_names_and_says_how_to_name_others(seekd_server: Start) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(allowed_origins=("http://localhost:3000", "null")))
    for origin in ("http://localhost:3000", "http://127.0.0.1:3000", "null"):
        answer = _ask(server, "POST", "/v1/chat/completions", origin=origin, **{"sec-fetch-site": "cross-site"})
        assert (answer.status_code, _may_read(answer, origin)) == (200, True)
    refused = _ask(server, "POST", "/v1/chat/completions", origin="http://localhost:3001")
    assert refused.status_code == 403
    assert "[accounts] allowed_origins" in refused.text
    assert "allowed_hosts" not in refused.text


@pytest.mark.fault("every-origin-on-an-open-server")
def test_every_origin_needs_a_key(seekd_server: Start, tmp_path: Path) -> None:
    every = AccountsSettings(allowed_origins=("*",))
    with pytest.raises(RuntimeError) as raised:
        seekd_server(say("x"), accounts=every, data_dir=tmp_path)
    assert isinstance(raised.value.__cause__, ConfigError)
    assert "allowed_origins" in raised.value.__cause__.message
    key = _key(tmp_path)
    server = seekd_server(say("x"), accounts=every, data_dir=tmp_path)
    for origin in (PAGE, "null"):
        answer = _ask(server, "POST", "/v1/chat/completions", origin=origin, authorization=f"Bearer {key}")
        assert (answer.status_code, _may_read(answer, origin)) == (200, True)
    with pytest.raises(ValueError, match=r"accounts\.allowed_origins"):
        AccountsSettings(allowed_origins=("https://app.example/",))
