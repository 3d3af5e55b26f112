"""Over real HTTP with a scripted engine: faults, limits and leaving clients, as the official client meets them."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from seekd.accounts.settings import AccountsSettings
from seekd.api.settings import ServerSettings
from seekd.config import ByteSize
from seekd.engine.scripted import Delay, EmitText, Fail, say
from seekd.errors import EngineError, Overloaded
from seekd.testing.server import ScriptedServer

Start = Callable[..., ScriptedServer]

BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}


def _client(server: ScriptedServer) -> openai.OpenAI:
    return openai.OpenAI(api_key="YOUR_API_KEY", base_url=f"{server.url}/v1", max_retries=0)


def _post(server: ScriptedServer, **options: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/chat/completions", timeout=30, **options)


def test_the_official_client_reads_answer_and_stream(seekd_server: Start) -> None:
    with _client(seekd_server(say("Hello there"))) as client:
        whole = client.chat.completions.create(**BODY)  # type: ignore[call-overload]
        stream = client.chat.completions.create(**BODY, stream=True)  # type: ignore[call-overload]
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert whole.choices[0].message.content == "Hello there" == "".join(pieces)


def test_a_failing_engine_is_a_real_status_while_nothing_was_sent(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (Fail(error=EngineError()),))
    for stream in (False, True):
        response = _post(server, json={**BODY, "stream": stream})
        assert response.status_code == 500
        assert response.json()["error"]["message"]


def test_a_full_queue_is_a_503_with_retry_after(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (Fail(error=Overloaded()),))
    response = _post(server, json=BODY)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    with _client(server) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**BODY)  # type: ignore[call-overload]


def test_a_failure_after_the_first_chunk_is_an_error_frame_and_no_done(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (EmitText(text="Hel"), Fail(error=EngineError())))
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json={**BODY, "stream": True}) as response:
        assert response.status_code == 200
        frames = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert "error" in json.loads(frames[-1])
    assert "[DONE]" not in frames


def test_a_tool_route_of_the_service_is_a_404_that_says_what_to_use(seekd_server: Start) -> None:
    url = f"{seekd_server(say('Hi')).url}/v1/tools/search"
    for headers in ({}, {"X-Seekd-Dialect": "hosted"}):
        response = httpx.post(url, json={"query": "x"}, headers=headers)
        assert response.status_code == 404
        assert "a search service of your own" in response.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_stops_its_generation(seekd_server: Start, stream: bool) -> None:
    server = seekd_server(lambda _: (EmitText(text="a"), Delay(delay_s=30), EmitText(text="b")))
    with pytest.raises(httpx.ReadTimeout):
        _read_all(server, stream=stream)
    deadline_s = time.monotonic() + 10
    while not server.engine.aborted_request_ids and time.monotonic() < deadline_s:
        time.sleep(0.01)  # the server's own thread notices the closed connection
    assert server.engine.aborted_request_ids == [server.engine.requests[0].request_id]


def _read_all(server: ScriptedServer, *, stream: bool) -> None:
    url = f"{server.url}/v1/chat/completions"
    with httpx.stream("POST", url, json={**BODY, "stream": stream}, timeout=0.5) as response:
        response.read()


def test_silence_in_a_stream_is_filled_with_comments_that_clients_skip(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (Delay(delay_s=0.3), EmitText(text="ok")), server=ServerSettings(keep_alive_s=0.05))
    response = _post(server, json={**BODY, "stream": True})
    assert response.text.startswith(": keep-alive\n\n")
    with _client(server) as client:
        stream = client.chat.completions.create(**BODY, stream=True)  # type: ignore[call-overload]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "ok"


def test_a_whole_answer_in_hosted_waits_behind_blank_lines(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (Delay(delay_s=0.3), EmitText(text="ok")), server=ServerSettings(keep_alive_s=0.05))
    hosted = _post(server, json=BODY, headers={"X-Seekd-Dialect": "hosted"})
    assert hosted.text.startswith("\n")
    assert hosted.json()["choices"][0]["message"]["content"] == "ok"
    assert not _post(server, json=BODY).text.startswith("\n")


def test_an_unknown_dialect_is_a_clear_400(seekd_server: Start) -> None:
    response = _post(seekd_server(say("x")), json=BODY, headers={"X-Seekd-Dialect": "klingon"})
    assert response.status_code == 400
    assert "classic" in response.json()["error"]["message"]


def test_every_response_has_its_trace_id(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    answered = _post(server, json=BODY)
    assert len(answered.headers["x-ds-trace-id"]) == 32
    assert answered.headers["x-request-id"] == answered.headers["x-ds-trace-id"]
    hosted = _post(server, json=BODY, headers={"X-Seekd-Dialect": "hosted"})
    assert "x-request-id" not in hosted.headers
    assert len(httpx.get(f"{server.url}/nope").headers["x-ds-trace-id"]) == 32


@pytest.mark.parametrize("path", ["/nope", "/v1/embeddings", "/beta"])
def test_an_unknown_route_is_a_404(seekd_server: Start, path: str) -> None:
    server = seekd_server(say("x"))
    assert httpx.get(f"{server.url}{path}").status_code == 404
    hosted = httpx.get(f"{server.url}{path}", headers={"X-Seekd-Dialect": "hosted"})
    assert (hosted.status_code, hosted.content) == (404, b"")


def test_the_wrong_method_is_a_405(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    hosted = httpx.get(f"{server.url}/chat/completions", headers={"X-Seekd-Dialect": "hosted"})
    assert (hosted.status_code, hosted.content) == (405, b"")


def test_a_body_that_is_not_declared_as_json_is_a_415(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    headers = {"Content-Type": "text/plain", "X-Seekd-Dialect": "hosted"}
    hosted = _post(server, content=json.dumps(BODY), headers=headers)
    assert hosted.status_code == 415
    assert hosted.text == "Expected request with `Content-Type: application/json`"


def test_a_body_over_the_limit_is_a_413(seekd_server: Start) -> None:
    server = seekd_server(say("x"), server=ServerSettings(max_body_bytes=ByteSize(1000)))
    response = _post(server, json={**BODY, "user": "x" * 2000})
    assert response.status_code == 413
    assert "1000" in response.json()["error"]["message"]


def test_health_follows_the_engine(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    from seekd.engine.types import EngineHealth

    server.engine.set_health(EngineHealth(ready=False, reason="The engine is being restarted."))
    response = httpx.get(f"{server.url}/healthz")
    assert response.status_code == 503
    assert "restarted" in response.json()["reason"]
    assert httpx.get(f"{server.url}/livez").status_code == 200


def test_health_says_that_the_database_is_away_and_the_process_lives(seekd_server: Start, tmp_path: Path) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(busy_timeout_s=0.01))

    def becomes(status: int) -> httpx.Response:
        deadline_s = time.monotonic() + 30
        while (response := httpx.get(f"{server.url}/healthz")).status_code != status:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        return response

    with contextlib.closing(sqlite3.connect(tmp_path / "seekd" / "books.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert _post(server, json=BODY).status_code == 200  # the first usage row that cannot be written makes it known
        assert "database" in becomes(503).json()["reason"]
        assert httpx.get(f"{server.url}/livez").json() == {"status": "ok"}
        assert _post(server, json=BODY).status_code == 503
        other.execute("ROLLBACK")
    becomes(200)
    assert _post(server, json=BODY).status_code == 200


@pytest.mark.parametrize("path", ["/api/chat", "/api/tags", "/infill", "/v1/embeddings"])
def test_clients_of_other_servers_are_told_what_to_use(seekd_server: Start, path: str) -> None:
    server = seekd_server(say("x"))
    answer = httpx.post(f"{server.url}{path}", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["message"].startswith("seekd ")
    hosted = httpx.post(f"{server.url}{path}", json={}, headers={"X-Seekd-Dialect": "hosted"})
    assert hosted.status_code == 404
    assert "seekd" not in hosted.text
