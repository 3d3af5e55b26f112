"""Keys, balances, limits and retries over real HTTP with a scripted engine, and the command line beside the server."""

from __future__ import annotations

import concurrent.futures
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.types import Limits
from seekd.api.settings import ServerSettings
from seekd.engine.scripted import Delay, EmitText, Fail, ScriptStep, say
from seekd.engine.types import EngineRequest
from seekd.errors import EngineError
from seekd.testing.server import ScriptedServer

Start = Callable[..., ScriptedServer]

BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 10}
PRICED = AccountsSettings(
    prices=(PriceSetting(model="deepseek-chat", currency="USD", hit="0", miss="0", output="100000"),),
    synchronous="normal",
)
"""One completion token costs 0.10 USD; prompts are free."""


class Shell:
    """The `seekd` program on one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def run(self, *arguments: str) -> Any:
        command = [sys.executable, "-m", "seekd", *arguments, "--data-dir", str(self._data_dir), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout)

    def new_key(self, *options: str) -> tuple[str, str]:
        """A new account's id and its key."""
        account_id = self.run("accounts", "create", "team")["id"]
        return account_id, self.run("keys", "create", "--account", account_id, *options)["key"]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "seekd")


def _post(server: ScriptedServer, key: str | None = None, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers |= options.pop("headers", {})
    return httpx.post(
        f"{server.url}/v1/chat/completions", json=options.pop("json", BODY), headers=headers, timeout=60, **options
    )


def test_before_any_key_programs_on_this_machine_need_none(seekd_server: Start) -> None:
    assert _post(seekd_server(say("x"))).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"X-Forwarded-For": "10.0.0.1"}]
)
def test_a_web_page_or_a_proxy_cannot_use_an_open_server(seekd_server: Start, headers: dict[str, str]) -> None:
    server = seekd_server(say("x"))
    assert _post(server, headers=headers).status_code == 403
    assert not server.engine.requests


@pytest.mark.fault("origin-that-is-no-address")
@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://localhost:port", "null", ""])
def test_an_origin_that_is_no_address_is_another_site(seekd_server: Start, origin: str) -> None:
    server = seekd_server(say("x"))
    assert _post(server, headers={"Origin": origin}).status_code == 403
    assert not server.engine.requests


@pytest.mark.fault("proxy-without-forwarding-headers")
def test_a_proxy_that_says_nothing_of_itself_cannot_use_an_open_server(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    body = json.dumps(BODY).encode()
    # What nginx sends by default for `proxy_pass http://127.0.0.1:8000;`.
    head = (
        f"POST /v1/chat/completions HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        answer = connection.makefile("rb").read()
    assert answer.split()[1] == b"403", answer
    assert b"HTTP/1.0" in answer.partition(b"\r\n\r\n")[2]
    assert not server.engine.requests


def test_the_first_key_closes_the_server_and_revoking_it_does_not_reopen(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("x"))
    _, key = shell.new_key()
    assert _post(server).status_code == 401
    assert _post(server, key).status_code == 200
    [entry] = shell.run("keys", "list")
    shell.run("keys", "revoke", entry["id"])
    revoked = _post(server, key)
    assert revoked.status_code == 401
    assert f"****{key[-4:]} is invalid" in revoked.json()["error"]["message"]
    assert _post(server).status_code == 401


def test_a_wrong_key_is_an_authentication_error_to_the_official_client(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("x"))
    shell.new_key()
    with (
        openai.OpenAI(api_key="sk-" + "0" * 32, base_url=f"{server.url}/v1", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_the_messages_route_takes_its_key_as_x_api_key_unless_authorization_has_one(
    seekd_server: Start, shell: Shell
) -> None:
    server = seekd_server(say("x"))
    _, key = shell.new_key()
    body = {"model": "deepseek-chat", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    wrong = "sk-" + "0" * 32
    for headers, status in (
        ({"x-api-key": key}, 200),
        ({"x-api-key": wrong, "authorization": f"Bearer {key}"}, 200),
        ({"x-api-key": key, "authorization": f"Bearer {wrong}"}, 401),
    ):
        response = httpx.post(f"{server.url}/anthropic/v1/messages", json=body, headers=headers)
        assert response.status_code == status


def test_what_a_request_used_is_what_the_account_pays(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("four"), accounts=PRICED)
    account_id, key = shell.new_key()
    assert _post(server, key).status_code == 402
    shell.run("accounts", "top-up", account_id, "1.50", "--currency", "USD")
    assert _post(server, key).status_code == 200
    balance = httpx.get(f"{server.url}/user/balance", headers={"Authorization": f"Bearer {key}"}).json()
    assert balance["balance_infos"][0]["total_balance"] == "1.10"
    assert shell.run("ledger", "verify")


def test_a_balance_for_twenty_answers_exactly_twenty_of_two_hundred(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("ten tokens"), accounts=PRICED)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "20.00", "--currency", "USD")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        statuses = list(pool.map(lambda _: _post(server, key).status_code, range(200)))
    assert (statuses.count(200), statuses.count(402)) == (20, 180)
    balance = httpx.get(f"{server.url}/user/balance", headers={"Authorization": f"Bearer {key}"}).json()
    assert balance["balance_infos"][0]["total_balance"] == "0.00"
    assert shell.run("ledger", "verify")


def test_a_failed_engine_costs_nothing_and_frees_what_was_held(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(lambda _: (Fail(error=EngineError()),), accounts=PRICED)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "1.00", "--currency", "USD")
    for _ in range(3):
        assert _post(server, key).status_code == 500
    balance = httpx.get(f"{server.url}/user/balance", headers={"Authorization": f"Bearer {key}"}).json()
    assert balance["balance_infos"][0]["total_balance"] == "1.00"


def test_a_client_that_leaves_pays_for_what_it_was_sent(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(lambda _: (EmitText(text="abc"), Delay(delay_s=30)), accounts=PRICED)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "1.00", "--currency", "USD")
    with pytest.raises(httpx.ReadTimeout):
        _leave(server, key)
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        headers = {"Authorization": f"Bearer {key}"}
        balance = httpx.get(f"{server.url}/user/balance", headers=headers).json()["balance_infos"][0]["total_balance"]
        if balance == "0.70":
            return
        time.sleep(0.05)
    raise AssertionError(balance)


def _leave(server: ScriptedServer, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{server.url}/v1/chat/completions"
    with httpx.stream("POST", url, json={**BODY, "stream": True}, headers=headers, timeout=0.5) as response:
        response.read()


def test_too_many_requests_are_the_documented_rate_limit_error(seekd_server: Start) -> None:
    settings = AccountsSettings(account_limits=Limits(requests_per_minute=2))
    server = seekd_server(say("x"), accounts=settings)
    assert int(_post(server).headers["x-ratelimit-remaining-requests"]) == 1
    _post(server)
    refused = _post(server)
    assert refused.status_code == 429
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    error = refused.json()["error"]
    assert error["message"] == "Rate limit exceeded: the limit is 2 requests a minute."
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert int(refused.headers["retry-after"]) >= 1
    with (
        openai.OpenAI(api_key="x", base_url=f"{server.url}/v1", max_retries=0) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(**BODY)  # type: ignore[call-overload]


def test_more_requests_at_once_than_allowed_are_refused(seekd_server: Start) -> None:
    settings = AccountsSettings(account_limits=Limits(max_concurrency=1))
    server = seekd_server(lambda _: (Delay(delay_s=1.0), EmitText(text="x")), accounts=settings)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: _post(server).status_code, range(4)))
    assert statuses == [200, 429, 429, 429]
    assert _post(server).status_code == 200


def test_a_prompt_above_the_tokens_of_a_minute_is_refused_for_good(seekd_server: Start) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(account_limits=Limits(tokens_per_minute=100)))
    long = {**BODY, "messages": [{"role": "user", "content": "a" * 200}]}
    refused = _post(server, json=long)
    assert refused.status_code == 429
    assert "can never pass" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert _post(server).status_code == 200


def test_concurrency_may_follow_the_balance_and_hosted_says_so_in_the_services_words(
    seekd_server: Start, shell: Shell
) -> None:
    settings = AccountsSettings(balance_per_concurrency_micros=1_000_000)
    server = seekd_server(lambda _: (Delay(delay_s=1.0), EmitText(text="x")), accounts=settings)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "2.00", "--currency", "USD")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: _post(server, key, headers={"X-Seekd-Dialect": "hosted"}), range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    [refused] = [answer for answer in answers if answer.status_code == 429]
    assert refused.json()["error"]["message"] == (
        "Too many requests. Your current concurrency is 3, which exceeds your concurrency limit of 2 based on your "
        "remaining balance. Please top up your balance to restore your concurrency."
    )
    assert "retry-after" not in refused.headers


class Numbered:
    """A script whose answers differ, so that a repeated answer shows."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _: EngineRequest) -> tuple[ScriptStep, ...]:
        self.count += 1
        return (EmitText(text=f"no {self.count}"),)


@pytest.mark.parametrize("stream", [False, True])
def test_a_retry_with_the_same_key_gets_the_same_answer_and_is_charged_once(
    seekd_server: Start, shell: Shell, stream: bool
) -> None:
    server = seekd_server(Numbered(), accounts=PRICED)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "5.00", "--currency", "USD")
    body = {**BODY, "stream": stream}
    first, again = (_post(server, key, json=body, headers={"Idempotency-Key": "a"}) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert first.headers["content-type"] == again.headers["content-type"]
    assert _post(server, key, json=body, headers={"Idempotency-Key": "b"}).content != first.content
    balance = httpx.get(f"{server.url}/user/balance", headers={"Authorization": f"Bearer {key}"}).json()
    assert balance["balance_infos"][0]["total_balance"] == "4.20"


def test_the_same_idempotency_key_with_another_body_is_a_409(seekd_server: Start) -> None:
    server = seekd_server(Numbered())
    assert _post(server, headers={"Idempotency-Key": "a"}).status_code == 200
    other = _post(server, json={**BODY, "temperature": 0.5}, headers={"Idempotency-Key": "a"})
    assert other.status_code == 409


def test_a_twin_waits_for_the_running_request(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (Delay(delay_s=0.5), EmitText(text="x")))
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: _post(server, headers={"Idempotency-Key": "a"}).content, range(3)))
    assert len(set(answers)) == 1
    assert len(server.engine.requests) == 1


def test_a_retry_after_a_client_left_gets_the_answer_that_was_made_meanwhile(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (EmitText(text="a"), Delay(delay_s=1.0), EmitText(text="b")))
    body, headers = {**BODY, "stream": True}, {"Idempotency-Key": "a"}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, headers=headers) as response:
        next(response.iter_raw())
    again = _post(server, json=body, headers=headers)
    assert "[DONE]" in again.text
    assert len(server.engine.requests) == 1


def test_a_failed_request_leaves_its_idempotency_key_free(seekd_server: Start) -> None:
    outcomes = iter([Fail(error=EngineError()), EmitText(text="x")])
    server = seekd_server(lambda _: (next(outcomes),))
    assert _post(server, headers={"Idempotency-Key": "a"}).status_code == 500
    assert _post(server, headers={"Idempotency-Key": "a"}).status_code == 200


def test_a_refused_request_leaves_its_idempotency_key_free(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(Numbered(), accounts=PRICED)
    account_id, key = shell.new_key()
    assert _post(server, key, headers={"Idempotency-Key": "a"}).status_code == 402
    shell.run("accounts", "top-up", account_id, "5.00", "--currency", "USD")
    assert _post(server, key, headers={"Idempotency-Key": "a"}).status_code == 200


def test_a_failed_attempt_under_an_idempotency_key_costs_nothing(seekd_server: Start, shell: Shell) -> None:
    outcomes = iter([(EmitText(text="abc"), Fail(error=EngineError())), (EmitText(text="four"),)])
    server = seekd_server(lambda _: next(outcomes), accounts=PRICED)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "5.00", "--currency", "USD")
    statuses = [_post(server, key, headers={"Idempotency-Key": "a"}).status_code for _ in range(3)]
    assert statuses == [500, 200, 200]
    balance = httpx.get(f"{server.url}/user/balance", headers={"Authorization": f"Bearer {key}"}).json()
    assert balance["balance_infos"][0]["total_balance"] == "4.60"


def test_reasoning_tokens_are_reported(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("abc</think>d"))
    assert _post(server, json={**BODY, "model": "deepseek-reasoner", "max_tokens": 50}).status_code == 200
    [line] = shell.run("usage")
    assert line["num_reasoning_tokens"] == 3


def test_a_stream_that_waits_for_holds_is_refused_with_a_status(seekd_server: Start, shell: Shell) -> None:
    settings = AccountsSettings(prices=PRICED.prices, synchronous="normal", hold_wait_s=0.5)
    server = seekd_server(
        lambda _: (EmitText(text="abc"), Delay(delay_s=3.0)),
        accounts=settings,
        server=ServerSettings(keep_alive_s=0.05),
    )
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "1.50", "--currency", "USD")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(lambda _: _post(server, key, json={**BODY, "stream": True}).status_code, range(2)))
    assert statuses == [200, 402]


def test_a_key_for_one_model_does_not_open_another(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("x"))
    _, key = shell.new_key("--model", "deepseek-reasoner")
    listed = httpx.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).json()["data"]
    assert [model["id"] for model in listed] == ["deepseek-reasoner"]
    assert _post(server, key).status_code == 400
    assert _post(server, key, json={**BODY, "model": "deepseek-reasoner"}).status_code == 200


def test_usage_and_cost_are_shown_in_headers_where_the_setting_says_so(seekd_server: Start, shell: Shell) -> None:
    settings = AccountsSettings(prices=PRICED.prices, report_cost_header=True)
    server = seekd_server(say("four"), accounts=settings)
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "5.00", "--currency", "USD")
    response = _post(server, key)
    assert response.headers["x-seekd-cost"] == "0.40 USD"
    assert "completion=4" in response.headers["x-seekd-usage"]
    stream = _post(server, key, json={**BODY, "stream": True}).text
    behind = stream.partition("data: [DONE]\n\n")[2]
    assert behind == f": x-seekd-usage: {response.headers['x-seekd-usage']}\n\n: x-seekd-cost: 0.40 USD\n\n"


def test_price_and_access_go_by_the_requested_name_in_both_dialects(seekd_server: Start, shell: Shell) -> None:
    server = seekd_server(say("four"), accounts=PRICED)
    account_id, key = shell.new_key("--model", "deepseek-chat")
    hosted = {"X-Seekd-Dialect": "hosted"}
    assert [_post(server, key, headers=headers).status_code for headers in ({}, hosted)] == [402, 402]
    shell.run("accounts", "top-up", account_id, "5.00", "--currency", "USD")
    assert [_post(server, key, headers=headers).status_code for headers in ({}, hosted)] == [200, 200]
    balance = httpx.get(f"{server.url}/user/balance", headers={"Authorization": f"Bearer {key}"}).json()
    assert balance["balance_infos"][0]["total_balance"] == "4.20"
    other = {**BODY, "model": "deepseek-reasoner"}
    assert _post(server, key, json=other, headers=hosted).status_code == 400


def test_books_are_made_before_a_server_starts(shell: Shell) -> None:
    first = shell.run("ledger", "migrate")
    assert first == shell.run("ledger", "migrate")
    assert int(first["version"]) > 0
    assert shell.run("ledger", "verify")["is_valid"]
