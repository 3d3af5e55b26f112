"""Requests that no client of the API sends, over raw sockets: each gets a whole answer, and the server goes on."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from seekd.accounts.settings import AccountsSettings
from seekd.api.settings import ServerSettings
from seekd.config import ByteSize
from seekd.engine.scripted import Delay, EmitText, say
from seekd.testing.server import ScriptedServer

Start = Callable[..., ScriptedServer]

CHAT = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
PATH = "/v1/chat/completions"
LIMIT_S = 60.0


@pytest.fixture
def server(seekd_server: Start) -> ScriptedServer:
    return seekd_server(say("Hello"), server=ServerSettings(max_body_bytes=ByteSize(1_000_000)))


@pytest.fixture
def http(server: ScriptedServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=LIMIT_S) as client:
        yield client


def request(body: bytes, *, path: str = PATH, close: bool = True, headers: str = "") -> bytes:
    end = "connection: close\r\n" if close else ""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{headers}{end}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def exchange(server: ScriptedServer, *pieces: bytes) -> bytes:
    """Send all of it, then read to the end."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=LIMIT_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_ids_are_those_of_the_format(http: httpx.Client) -> None:
    user = CHAT["messages"]
    for path, body, pattern in (
        (PATH, CHAT, r"chatcmpl-[0-9a-f]{32}"),
        ("/beta/completions", {"model": "deepseek-chat", "prompt": "a"}, r"cmpl-[0-9a-f]{32}"),
        ("/v1/responses", {"model": "deepseek-chat", "input": "Hi"}, r"resp_[0-9a-f]{32}"),
        ("/anthropic/v1/messages", {"model": "deepseek-chat", "messages": user, "max_tokens": 9}, r"msg_[0-9a-f]{32}"),
    ):
        assert re.fullmatch(pattern, http.post(path, json=body).json()["id"])
        hosted = http.post(path, json=body, headers={"x-seekd-dialect": "hosted"}).json()["id"]
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", hosted)


def test_a_wrong_method_is_told_the_right_ones(http: httpx.Client) -> None:
    for method in ("GET", "OPTIONS", "HEAD", "DELETE"):
        response = http.request(method, PATH)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert http.head("/v1/models").status_code == 200
    assert http.options("/v1/models").headers["allow"] in ("GET, HEAD", "HEAD, GET")


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/", "/beta", "/models/"])
def test_nearly_a_route_is_none(http: httpx.Client, path: str) -> None:
    assert http.post(path, json=CHAT).status_code in (404, 405)


def test_who_has_no_key_learns_nothing_about_routes(seekd_server: Start) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(failed_auth_delay_s=0.0))
    foreign = {"host": "seekd.example"}  # an open server answers its own machine only
    for path in ("/nope", PATH):
        assert httpx.get(server.url + path, headers=foreign).status_code == 403


def test_a_large_body_is_refused_with_an_answer_that_arrives(server: ScriptedServer) -> None:
    for headers in ("", "transfer-encoding: chunked\r\n"):
        body = b"x" * 3_000_000
        sent = request(body)
        if headers:
            head = request(b"", headers=headers).replace(b"content-length: 0\r\n", b"")
            sent = head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        answer = exchange(server, sent)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"1000000 bytes" in answer


def test_a_body_in_chunks_is_read_whole(server: ScriptedServer) -> None:
    body = json.dumps(CHAT).encode()
    head = request(b"", headers="transfer-encoding: chunked\r\n").replace(b"content-length: 0\r\n", b"")
    pieces = [f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (body[:7], body[7:])]
    assert exchange(server, head, *pieces, b"0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_requests_sent_in_one_go_are_answered_in_order(server: ScriptedServer) -> None:
    body = json.dumps(CHAT).encode()
    answer = exchange(server, request(body, close=False) + request(b"{}", close=False) + request(body))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"400", b"200"]


def test_garbage_for_http_is_a_400(server: ScriptedServer) -> None:
    assert exchange(server, b"GARBAGE\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_client_that_leaves_within_a_stream_ends_the_generation(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (EmitText(text="a"), Delay(delay_s=LIMIT_S), EmitText(text="b")))
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=LIMIT_S) as connection:
        connection.sendall(request(json.dumps({**CHAT, "stream": True}).encode()))
        read = b""
        while b'"a"' not in read:
            read += connection.recv(65536)
    deadline_s = time.monotonic() + LIMIT_S / 2
    while not server.engine.aborted_request_ids and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert server.engine.aborted_request_ids


@pytest.mark.fault("odd-json")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model":"deepseek-chat","messages":[{"role":"user","content":"\xff"}]}', 400),
        (b'{"model":"deepseek-chat","messages":[{"role":"user","content":"\\ud800"}]}', 400),
        (b'{"model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}],"temperature":NaN}', 400),
        (b'{"model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}],"temperature":1e999}', 400),
        (b'{"model":"nope","model":"deepseek-chat","messages":[{"role":"user","content":"Hi"}]}', 200),
        (b'{"model":"deepseek-chat","messages":[{"role":"user","content":"a\\u0000b"}]}', 200),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b"[" * 900_000, 400),
        (b"null", 400),
    ],
    ids=["utf-8", "surrogate", "nan", "infinity", "duplicate keys", "nul", "deep", "deep and open", "null"],
)
def test_odd_json_is_answered_or_refused(server: ScriptedServer, body: bytes, status: int) -> None:
    for dialect in ("classic", "hosted"):
        answer = exchange(server, request(body, headers=f"x-seekd-dialect: {dialect}\r\n"))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
