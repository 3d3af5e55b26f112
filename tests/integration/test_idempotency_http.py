"""Idempotency keys over real HTTP: what a repeat costs, who waits how long, and what ends a run without a client."""

from __future__ import annotations

import json
import logging
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from seekd.accounts.driver import Connection
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.statements import statement
from seekd.accounts.store import open_connection
from seekd.accounts.types import Limits
from seekd.api.settings import ServerSettings
from seekd.config import ByteSize
from seekd.engine.scripted import Delay, EmitText, ScriptStep, say
from seekd.engine.types import EngineRequest
from seekd.guard.settings import GuardSettings
from seekd.service.settings import ContextSettings
from seekd.testing import serve_script
from seekd.testing.server import ScriptedServer
from tests.integration.test_accounts_http import BODY, PRICED
from tests.integration.test_long_conversations import QUESTION, is_summary, turns
from tests.moderation_service import moderation_service

Start = Callable[..., ScriptedServer]

KEY = {"Idempotency-Key": "a"}
QUICK = AccountsSettings(synchronous="normal")
LIMIT_S = 20.0
HANGS = (EmitText(text="a"), Delay(delay_s=60.0))


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Connection]:
    """The server's database, as another gateway or a person would open it."""
    with closing(open_connection(QUICK, tmp_path / "seekd")) as connection:
        yield connection


def new_key(books: Connection, *, micros: int = 0) -> tuple[str, str]:
    """A new account's id, and a key of it."""
    registry = Registry(books)
    account_id = registry.create_account("team").id
    if micros:
        registry.top_up(account_id, currency="USD", micros=micros)
    return account_id, registry.create_key(account_id).secret


def body_of(**fields: Any) -> bytes:
    return json.dumps({**BODY, **fields}).encode()


def post(
    server: ScriptedServer, *, headers: dict[str, str] = KEY, limit_s: float = 60.0, **fields: Any
) -> httpx.Response:
    headers = {"Content-Type": "application/json", **headers}
    url = f"{server.url}/v1/chat/completions"
    return httpx.post(url, content=body_of(**fields), headers=headers, timeout=limit_s)


def until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def num_claims(books: Connection) -> int:
    return int(books.rows(statement("SELECT count(*) FROM idempotency"))[0][0])


def hand_to_another_gateway(books: Connection) -> None:
    """Make every kept answer one that another gateway is still working on."""
    books.run(statement("UPDATE idempotency SET status = NULL, owner = 'another gateway'"))


@contextmanager
def open_request(server: ScriptedServer, content: bytes, headers: dict[str, str] = KEY) -> Iterator[socket.socket]:
    """A connection that has sent a whole request, and closes it at the end."""
    lines = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
    head = "POST /v1/chat/completions HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=LIMIT_S) as connection:
        connection.sendall(head.encode() + b"\r\n")
        connection.sendall(content)
        yield connection


def leave_after_the_first_frame(server: ScriptedServer, headers: dict[str, str] = KEY) -> None:
    with open_request(server, body_of(stream=True), headers) as connection:
        received = b""
        while b"data: " not in received:
            received += connection.recv(65536)


@pytest.mark.fault("replay-opens-nothing")
def test_a_replay_makes_no_summary_and_asks_for_no_money(seekd_server: Start, books: Connection) -> None:
    server = seekd_server(
        say(" four"),
        accounts=PRICED,
        context=ContextSettings(summary_prompt=QUESTION, summary_tokens=16, summaries_ram=ByteSize(0)),
        context_length=2000,
        long_conversations="summarise",
    )
    _, key = new_key(books, micros=2_000_000)
    headers = {"Authorization": f"Bearer {key}", **KEY}

    def balance() -> str:
        answer = httpx.get(f"{server.url}/user/balance", headers=headers)
        return str(answer.json()["balance_infos"][0]["total_balance"])

    first = post(server, headers=headers, messages=turns(18))
    assert first.json()["usage"]["seekd_context"]["summaries"] == 1
    paid = balance()
    assert float(paid) < 1.60  # too little for another summary
    again = post(server, headers=headers, messages=turns(18))
    assert (again.status_code, again.content) == (200, first.content)
    assert balance() == paid
    assert len(server.engine.requests) == 2


@pytest.mark.fault("replay-opens-nothing")
def test_a_replay_asks_no_moderation_and_writes_nothing(seekd_server: Start, books: Connection) -> None:
    with moderation_service() as service:
        server = seekd_server(
            say("x"),
            accounts=AccountsSettings(synchronous="normal", busy_timeout_s=0.01, store_timeout_s=0.05),
            guard=GuardSettings(moderation=service.url),
        )
        first = post(server, stream=True)
        num_questions = len(service.questions)
        books.begin()  # nobody else can write now
        again = post(server, stream=True)
        books.rollback()
        assert (again.status_code, again.content) == (200, first.content)
        assert len(service.questions) == num_questions
    assert len(server.engine.requests) == 1


@pytest.mark.parametrize(
    "other", [{"X-Seekd-Context": "drop"}, {"X-Seekd-Restore": "off"}, {"X-Seekd-Dialect": "hosted"}]
)
def test_a_repeat_that_asks_for_another_answer_is_a_conflict(seekd_server: Start, other: dict[str, str]) -> None:
    server = seekd_server(say("x"), accounts=QUICK)
    assert post(server).status_code == 200
    assert post(server, headers=KEY | other).status_code == 409


def test_a_key_of_other_models_does_not_get_the_answer_of_one(seekd_server: Start, books: Connection) -> None:
    server = seekd_server(say("x"), accounts=QUICK)
    account_id, key = new_key(books)
    options = KeyOptions(allowed_models=("deepseek-reasoner",))
    restricted = Registry(books).create_key(account_id, options).secret
    assert post(server, headers={"Authorization": f"Bearer {key}", **KEY}).status_code == 200
    assert post(server, headers={"Authorization": f"Bearer {restricted}", **KEY}).status_code == 409


@pytest.mark.fault("twin-waits-too-long")
def test_a_twin_waits_without_writing_and_not_for_ever(seekd_server: Start, books: Connection) -> None:
    server = seekd_server(
        say("x"),
        accounts=AccountsSettings(synchronous="normal", busy_timeout_s=0.01, store_timeout_s=0.05),
        server=ServerSettings(request_timeout_s=0.6),
    )
    assert post(server).status_code == 200
    hand_to_another_gateway(books)
    books.begin()  # whoever wants to write meanwhile is refused
    refused = post(server, limit_s=LIMIT_S)
    books.rollback()
    assert refused.status_code == 503
    assert "took longer" in refused.json()["error"]["message"]
    assert refused.headers["retry-after"] == "1"
    assert len(server.engine.requests) == 1


def test_a_twin_gets_the_answer_of_another_gateway(seekd_server: Start, books: Connection) -> None:
    server = seekd_server(say("x"), accounts=QUICK)
    first = post(server, stream=True)
    hand_to_another_gateway(books)
    with ThreadPoolExecutor(1) as pool:
        twin = pool.submit(post, server, stream=True)
        books.run(statement("UPDATE idempotency SET status = 200"))
        assert twin.result().content == first.content


@pytest.mark.fault("twin-left")
def test_a_twin_whose_client_has_left_waits_no_longer_and_keeps_no_body(
    seekd_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    server = seekd_server(lambda _: HANGS, accounts=QUICK, context_length=4_000_000)
    long = body_of(messages=[{"role": "user", "content": "x" * 3_000_000}])

    def ended() -> int:
        return sum(getattr(record, "action", None) == "request" for record in caplog.records)

    with open_request(server, long), caplog.at_level(logging.INFO):
        until(lambda: server.engine.requests)
        tracemalloc.start()
        try:
            with open_request(server, long):
                until(lambda: tracemalloc.get_traced_memory()[1] > 3_000_000)  # it has come
                until(lambda: tracemalloc.get_traced_memory()[0] < 3_000_000)
                assert not ended()
            until(ended)
        finally:
            tracemalloc.stop()
    assert len(server.engine.requests) == 1


@pytest.mark.fault("claim-of-nothing")
@pytest.mark.parametrize("leaves", [True, False])
def test_who_fails_or_leaves_before_the_run_frees_the_key(
    seekd_server: Start, books: Connection, *, leaves: bool
) -> None:
    settings = AccountsSettings(prices=PRICED.prices, synchronous="normal", hold_wait_s=60.0 if leaves else 0.1)
    server = seekd_server(lambda _: HANGS, accounts=settings)
    _, key = new_key(books, micros=1_500_000)
    access = {"Authorization": f"Bearer {key}"}
    with open_request(server, body_of(stream=True), access):
        until(lambda: server.engine.requests)
        with open_request(server, body_of(), access | KEY) as waiting:  # for what the first one holds
            if leaves:
                until(lambda: num_claims(books))
            else:
                assert waiting.recv(100).startswith(b"HTTP/1.1 402")
        until(lambda: not num_claims(books))


@pytest.mark.fault("claim-of-nothing")
def test_a_request_that_is_wrong_frees_the_key(seekd_server: Start, books: Connection) -> None:
    server = seekd_server(say("x"), accounts=QUICK, context_length=100)
    wrong: list[dict[str, Any]] = [{"messages": 1}, {"messages": turns(3)}, {"temperature": 9}]
    assert [post(server, **fields).status_code for fields in wrong] == [400, 400, 400]
    assert post(server, headers=KEY | {"X-Seekd-Cache": "perhaps"}).status_code == 400
    assert num_claims(books) == 0
    assert post(server).status_code == 200


@pytest.mark.fault("detached-runs")
def test_a_run_whose_client_has_left_counts_until_its_end(seekd_server: Start) -> None:
    limits = Limits(max_concurrency=1)
    server = seekd_server(lambda _: HANGS, accounts=AccountsSettings(synchronous="normal", account_limits=limits))
    leave_after_the_first_frame(server)
    for number in range(3):
        assert post(server, headers={"Idempotency-Key": f"b{number}"}).status_code == 429
    assert len(server.engine.requests) == 1
    assert not server.engine.aborted_request_ids


@pytest.mark.fault("detached-runs")
def test_a_client_that_leaves_while_its_summary_is_made_pays_for_one(seekd_server: Start) -> None:
    def slow(request: EngineRequest) -> Iterable[ScriptStep]:
        return [EmitText(text=" four"), Delay(delay_s=0.3)] if is_summary(request) else [EmitText(text="ok")]

    server = seekd_server(
        slow,
        accounts=QUICK,
        context=ContextSettings(summary_prompt=QUESTION, summaries_ram=ByteSize(0)),
        context_length=2000,
        long_conversations="summarise",
    )
    with open_request(server, body_of(messages=turns(18))):
        until(lambda: server.engine.requests)
    assert post(server, messages=turns(18)).json()["usage"]["seekd_context"]["summaries"] == 1
    assert [is_summary(request) for request in server.engine.requests] == [True, False]


@pytest.mark.fault("detached-runs")
def test_a_shutdown_ends_a_run_whose_client_has_left_and_frees_its_key(tmp_path: Path, books: Connection) -> None:
    with serve_script(lambda _: HANGS, data_dir=tmp_path / "seekd", accounts=QUICK) as server:
        leave_after_the_first_frame(server)
        started_s = time.monotonic()
    assert time.monotonic() - started_s < LIMIT_S
    assert server.engine.aborted_request_ids == [server.engine.requests[0].request_id]
    assert num_claims(books) == 0
