"""Clients that mean harm, by raw sockets: the server answers, gives nothing away, and serves the next one."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seekd.accounts.settings import AccountsSettings
from seekd.api.settings import ServerSettings
from seekd.config import ByteSize
from seekd.engine.scripted import say
from seekd.testing.server import ScriptedServer, serve_script
from tests.integration.conftest import StartServer

LIMIT_S = 10.0
CHAT = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
BODY = json.dumps(CHAT).encode()
SECRET = "root:x:0:0:"
"""What the machine's own files hold."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    settings = ServerSettings(max_body_bytes=ByteSize(4_000_000), body_timeout_s=0.3)
    accounts = AccountsSettings(synchronous="normal", failed_auth_delay_s=0.0)
    data_dir = tmp_path_factory.mktemp("hostile")
    with serve_script(say("Hello"), data_dir=data_dir, server=settings, accounts=accounts) as running:
        yield running


def connect(server: ScriptedServer) -> socket.socket:
    url = httpx.URL(server.url)
    return socket.create_connection((url.host, url.port or 0), timeout=LIMIT_S)


def exchange(server: ScriptedServer, *parts: bytes, until: bytes = b"\0") -> bytes:
    """Send, and read to some bytes or until the server closes; one that closes early is no error of the test."""
    answer = b""
    with connect(server) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        with contextlib.suppress(ConnectionError):
            while until not in answer and (part := connection.recv(65536)):
                answer += part
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE)]


def post(headers: bytes, body: bytes, path: bytes = b"/v1/chat/completions") -> bytes:
    return (
        b"POST "
        + path
        + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + headers
        + b"\r\n"
        + body
    )


def serves(url: str) -> bool:
    """Whether the next client is served."""
    return httpx.post(f"{url}/v1/chat/completions", json=CHAT, timeout=LIMIT_S).status_code == 200


HIDDEN = b"GET /hidden-by-smuggling HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.mark.fault("smuggled-request")
@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n",
        b"Content-Length: +0\r\n",
        b"Content-Length: 0x0\r\n",
        b"Content-Length: 0, 5\r\n",
        b"Content-Length : 0\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X: y\r\n Content-Length: 0\r\n",
        b"X: y\nContent-Length: 0\n",
    ],
    ids=lambda headers: headers.decode().encode("unicode_escape").decode(),
)
def test_a_length_with_two_meanings_hides_no_second_request(server: ScriptedServer, headers: bytes) -> None:
    answer = exchange(server, post(headers, b"0\r\n\r\n" + HIDDEN))
    found = statuses(answer)
    assert 200 not in found
    assert 404 not in found, "the hidden request was answered"
    assert found in ([400], [])
    assert serves(server.url)


@pytest.mark.fault("header-bomb")
@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b"X: " + b"a" * 1_000_000 + b"\r\n", b""),
        post(b"".join(b"X-%d: y\r\n" % number for number in range(50_000)), b""),
        post(b"Cookie: " + b"a=b; " * 200_000 + b"\r\n", b""),
    ],
    ids=["path", "value", "many", "cookie"],
)
def test_headers_of_a_megabyte_are_answered_or_cut(server: ScriptedServer, sent: bytes) -> None:
    assert set(statuses(exchange(server, sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))) <= {
        400,
        404,
        414,
        431,
    }
    assert serves(server.url)


@pytest.mark.fault("body-bomb")
def test_a_body_without_end_is_refused_at_its_limit(server: ScriptedServer) -> None:
    def chunks() -> Iterator[bytes]:
        yield post(b"Transfer-Encoding: chunked\r\nConnection: close\r\n", b"")
        for _ in range(40):
            yield b"100000\r\n" + b" " * 0x100000 + b"\r\n"

    assert statuses(exchange(server, *chunks(), until=b"max_body_bytes")) in ([413], [])
    assert statuses(exchange(server, post(b"Content-Length: 99999999999999\r\n", b"x"))) == [413]
    assert statuses(exchange(server, post(b"Content-Length: %d\r\n" % 10**30, b"x"))) in ([400], [413])
    compressed = post(b"Content-Encoding: gzip\r\nConnection: close\r\nContent-Length: 4\r\n", b"\x1f\x8b\x08\x00")
    assert statuses(exchange(server, compressed)) == [400]  # nothing is unpacked
    assert serves(server.url)


@pytest.mark.fault("line-of-a-megabyte")
def test_a_text_of_a_megabyte_in_one_line_is_a_request_like_others(server: ScriptedServer) -> None:
    body = json.dumps({**CHAT, "messages": [{"role": "user", "content": "x " * 500_000}]}).encode()
    answer = exchange(server, post(b"Connection: close\r\nContent-Length: %d\r\n" % len(body), body))
    assert statuses(answer) == [400]
    assert b"Maximum context length exceeded" in answer
    assert serves(server.url)


@pytest.mark.fault("slow-writer")
def test_a_client_that_sends_too_slowly_is_given_up(server: ScriptedServer) -> None:
    assert statuses(exchange(server, post(b"Content-Length: 100\r\nConnection: close\r\n", BODY[:10]))) == [408]
    assert serves(server.url)


PATHS = (
    "/../../../../../../etc/passwd",
    "/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/....//....//etc/passwd",
    "/..%5c..%5cetc%5cpasswd",
    "/static/../../../../../etc/passwd",
    "/v1/models/../../../../etc/passwd",
    "/v1/models/..%2f..%2f..%2fetc%2fpasswd",
    "/v1/models//etc/passwd",
    "/v1/models/%00/etc/passwd",
    "/admin/..%2f..%2fadmin-token",
    "//etc/passwd",
    "/etc/passwd%00.html",
    "/file:///etc/passwd",
)


@pytest.mark.fault("path-tricks")
@pytest.mark.parametrize("path", PATHS)
def test_no_spelling_of_a_path_leads_to_a_file(server: ScriptedServer, path: str) -> None:
    answer = exchange(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert SECRET.encode() not in answer
    assert set(statuses(answer)) <= {400, 401, 403, 404, 405}


@pytest.mark.fault("path-tricks")
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "hf:a/b:../../x.gguf", "file:///etc/passwd", "~/x"]
)
def test_no_name_in_a_body_leads_to_a_file(server: ScriptedServer, name: str, tmp_path: Path) -> None:
    for member in ("model", "user_id"):
        answer = httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, member: name}, timeout=LIMIT_S)
        assert SECRET not in answer.text
        assert answer.status_code == (400 if member == "model" else 200)


NUM_IDLE = 10_000


@pytest.mark.fault("idle-connections")
def test_ten_thousand_connections_that_say_nothing_keep_nobody_out(start_server: StartServer, tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text('[[reply]]\ntext = "Hello"\n', encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    num_idle = min(NUM_IDLE, hard - 500)  # as many as this machine allows a process
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        server = start_server("--script", str(script)).wait_until_ready()
        url = httpx.URL(server.url)
        with contextlib.ExitStack() as stack:
            for number in range(num_idle):
                connection = socket.create_connection((url.host, url.port or 0), timeout=LIMIT_S)
                stack.enter_context(connection)
                if number % 2:
                    connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n")
            assert serves(server.url)
            connection.sendall(b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert serves(server.url)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
