"""The response cache over real HTTP: whole and streamed, every protocol, twins, lifetimes, budgets and restarts."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.config import ByteSize, Secret
from seekd.engine.scripted import Delay, EmitText, Fail, Script, ScriptStep, say
from seekd.engine.types import EngineRequest
from seekd.errors import EngineError
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.testing.server import ScriptedServer, serve_script
from tests.integration.services import free_port, redis_url  # noqa: F401 - a fixture
from tests.integration.test_accounts_http import PRICED, Shell

Start = Callable[..., ScriptedServer]

BODY: dict[str, Any] = {
    "model": "deepseek-chat",
    "messages": [{"role": "user", "content": "Hi"}],
    "temperature": 0,
    "max_tokens": 50,
}
ON = ResponseCacheSettings(use="on")


def numbered(requests: Iterable[int] = range(10**6)) -> Script:
    """Another answer for every request that reaches the engine."""
    numbers = iter(requests)
    lock = threading.Lock()

    def script(_: EngineRequest) -> Iterable[ScriptStep]:
        with lock:
            number = next(numbers)
        return [EmitText(text="Answer "), EmitText(text=f"number {number}.")]

    return script


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "seekd")


def ask(
    server: ScriptedServer, *, headers: dict[str, str] | None = None, key: str | None = None, **fields: Any
) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {key}"} if key else {}
    response = httpx.post(
        f"{server.url}/v1/chat/completions", json={**BODY, **fields}, headers={**bearer, **(headers or {})}, timeout=60
    )
    assert response.status_code == 200, response.text
    return response


def text(response: httpx.Response) -> str:
    if response.headers["content-type"].startswith("text/event-stream"):
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
        return "".join(choice["delta"].get("content") or "" for line in lines for choice in json.loads(line)["choices"])
    return str(response.json()["choices"][0]["message"]["content"])


def result(response: httpx.Response) -> str | None:
    found: str | None = response.headers.get("x-seekd-cache")
    return found


def metric(server: ScriptedServer, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def test_by_default_nothing_is_cached_and_a_request_may_ask_for_it(seekd_server: Start) -> None:
    server = seekd_server(numbered())
    assert [result(ask(server)) for _ in range(2)] == [None, None]
    asked = [ask(server, headers={"X-Seekd-Cache": "on"}) for _ in range(2)]
    assert [(result(answer), text(answer)) for answer in asked] == [
        ("miss", "Answer number 2."),
        ("hit", "Answer number 2."),
    ]
    assert result(ask(server)) is None
    bad = httpx.post(f"{server.url}/v1/chat/completions", json=BODY, headers={"X-Seekd-Cache": "please"})
    assert (bad.status_code, "X-Seekd-Cache" in bad.text) == (400, True)


def test_the_official_client_gets_one_answer_whole_and_streamed_with_an_id_of_its_own(seekd_server: Start) -> None:
    server = seekd_server(numbered(), response_cache=ON)
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client:
        first = client.chat.completions.create(**BODY)
        streamed = list(client.chat.completions.create(**BODY, stream=True, stream_options={"include_usage": True}))
        raw = client.chat.completions.with_raw_response.create(**BODY)
        again = raw.parse()
    assert len(server.engine.requests) == 1
    assert raw.headers["x-seekd-cache"] == "hit"
    content = "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices)
    assert first.choices[0].message.content == content == again.choices[0].message.content == "Answer number 0."
    assert first.usage == streamed[-1].usage == again.usage
    assert len({first.id, streamed[0].id, again.id}) == 3
    assert {chunk.id for chunk in streamed} == {streamed[0].id}
    assert [choice.finish_reason for chunk in streamed for choice in chunk.choices][-1] == "stop"


def test_whoever_streams_first_serves_the_others_and_the_original_rhythm_has_the_same_chunks(
    seekd_server: Start,
) -> None:
    cache = ResponseCacheSettings(use="on", replay="original")
    server = seekd_server(say("One two three four five", num_tokens_per_update=5), response_cache=cache)
    first, second, whole = ask(server, stream=True), ask(server, stream=True), ask(server)
    assert [result(answer) for answer in (first, second, whole)] == ["miss", "hit", "hit"]

    def deltas(response: httpx.Response) -> list[object]:
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
        return [json.loads(line)["choices"] for line in lines]

    assert deltas(first) == deltas(second)
    assert len(deltas(first)) > 4
    assert text(whole) == "One two three four five"


def test_every_protocol_has_its_hits(seekd_server: Start) -> None:
    server = seekd_server(numbered(), response_cache=ON)
    messages = {"model": "deepseek-chat", "max_tokens": 50, "messages": BODY["messages"], "temperature": 0}
    for number, (path, body) in enumerate(
        (
            ("/beta/completions", {"model": "deepseek-chat", "prompt": "a =", "suffix": "b", "temperature": 0}),
            ("/v1/responses", {"model": "deepseek-chat", "input": "Hi", "temperature": 0}),
            ("/anthropic/v1/messages", messages),
        )
    ):
        answers = [
            httpx.post(f"{server.url}{path}", json={**body, "stream": stream}) for stream in (False, False, True)
        ]
        seen = [(answer.status_code, result(answer)) for answer in answers]
        assert seen == [(200, "miss"), (200, "hit"), (200, "hit")], path
        assert all(f"number {number}." in answer.text for answer in answers[:2]), path
        assert "Answ" in answers[2].text, path  # the script's first tokens
        assert len(server.engine.requests) == number + 1


def test_only_requests_that_would_be_answered_the_same_are_cached_unless_told_otherwise(
    seekd_server: Start, tmp_path: Path
) -> None:
    server = seekd_server(numbered(), response_cache=ON)
    assert [result(ask(server, temperature=1)) for _ in range(2)] == ["bypass", "bypass"]
    assert [result(ask(server, temperature=1, seed=7)) for _ in range(2)] == ["miss", "hit"]
    assert result(ask(server, temperature=1, seed=8)) == "miss"
    server = seekd_server(
        numbered(), response_cache=ResponseCacheSettings(use="on", repeats="all"), data_dir=tmp_path / "other"
    )
    assert [result(ask(server, temperature=1)) for _ in range(2)] == ["miss", "hit"]


def test_whatever_may_change_the_answer_makes_another_request(seekd_server: Start) -> None:
    server = seekd_server(say('{"a": 1}'), response_cache=ON)
    changes: list[dict[str, Any]] = [
        {"max_tokens": 49},
        {"stop": ["x"]},
        {"top_p": 0.5},
        {"frequency_penalty": 0.5},
        {"logprobs": True},
        {"messages": [{"role": "user", "content": "Hi!"}]},
        {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "Hi json"}]},
        {"thinking": {"type": "enabled"}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]},
        {"user_id": "somebody"},
    ]
    assert result(ask(server)) == "miss"
    for change in changes:
        assert [result(ask(server, **change)) for _ in range(2)] == ["miss", "hit"], change
    assert result(ask(server)) == "hit"


def test_a_stop_string_and_logprobs_are_replayed(seekd_server: Start) -> None:
    server = seekd_server(say("one END two", num_tokens_per_update=1), response_cache=ON)
    for fields in ({"stop": ["END"]}, {"logprobs": True, "top_logprobs": 0}):
        first, second = ask(server, **fields), ask(server, **fields)
        assert (result(first), result(second)) == ("miss", "hit")
        assert first.json()["choices"] == second.json()["choices"]
        assert first.json()["usage"] == second.json()["usage"]


def test_clients_may_refuse_what_is_kept(seekd_server: Start) -> None:
    server = seekd_server(numbered(), response_cache=ON)
    ask(server)
    fresh = ask(server, headers={"Cache-Control": "max-age=0, no-cache"})
    assert (result(fresh), text(fresh)) == ("bypass", "Answer number 1.")
    assert text(ask(server)) == "Answer number 1.", "the new answer is the kept one"
    unkept = ask(server, headers={"Cache-Control": "no-store"})
    assert (result(unkept), text(unkept)) == ("bypass", "Answer number 2.")
    off = ask(server, headers={"X-Seekd-Cache": "off"})
    assert (result(off), text(off)) == (None, "Answer number 3.")
    assert text(ask(server)) == "Answer number 1."


def test_models_and_accounts_have_settings_of_their_own(seekd_server: Start, shell: Shell) -> None:
    _, key = shell.new_key()
    account_id = shell.run("accounts", "create", "other")["id"]
    other_key = shell.run("keys", "create", "--account", account_id)["key"]
    cache = ResponseCacheSettings(use="on", models={"deepseek-reasoner": "off"}, accounts={account_id: "asked"})
    server = seekd_server(numbered(), response_cache=cache)
    assert result(ask(server, key=key)) == "miss"
    assert result(ask(server, key=key, model="deepseek-reasoner")) is None
    on = {"X-Seekd-Cache": "on"}
    assert result(ask(server, key=key, model="deepseek-reasoner", headers=on)) == "bypass", "never silent"
    assert result(ask(server, key=other_key)) is None
    assert result(ask(server, key=other_key, headers=on)) == "miss", "accounts share nothing"
    assert result(ask(server, key=other_key, headers=on)) == "hit"


def test_twins_in_flight_run_once(seekd_server: Start) -> None:
    def script(_: EngineRequest) -> Iterable[ScriptStep]:
        return [EmitText(text="Slowly"), Delay(delay_s=0.5), EmitText(text=" done.")]

    server = seekd_server(script, response_cache=ON)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(server, stream=bool(number % 2)), range(8)))
    assert {text(answer) for answer in answers} == {"Slowly done."}
    assert Counter(map(result, answers)) == {"miss": 1, "hit": 7}
    assert len(server.engine.requests) == 1


def test_a_twin_runs_itself_when_the_first_one_fails_or_leaves(seekd_server: Start) -> None:
    numbers = iter(range(100))

    def script(_: EngineRequest) -> Iterable[ScriptStep]:
        if next(numbers) == 0:
            return [EmitText(text="a"), Delay(delay_s=0.4), Fail(error=EngineError())]
        return [Delay(delay_s=0.2), EmitText(text="whole")]

    server = seekd_server(script, response_cache=ON)
    with ThreadPoolExecutor(3) as pool:
        failing = pool.submit(httpx.post, f"{server.url}/v1/chat/completions", json=BODY, timeout=60)
        while not server.engine.requests:
            time.sleep(0.005)
        twins = list(pool.map(lambda _: ask(server), range(2)))
    assert failing.result().status_code == 500
    assert Counter(map(result, twins)) == {"miss": 1, "hit": 1}
    assert {text(answer) for answer in twins} == {"whole"}
    assert len(server.engine.requests) == 2

    other = {**BODY, "seed": 5, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=other, timeout=60) as leaving:
        assert leaving.status_code == 200
    assert (result(answer := ask(server, seed=5)), text(answer)) in (("miss", "whole"), ("hit", "whole"))


def test_what_failed_or_was_cut_by_the_room_is_not_kept(seekd_server: Start) -> None:
    server = seekd_server(lambda _: (Fail(error=EngineError()),), response_cache=ON)
    for _ in range(2):
        assert httpx.post(f"{server.url}/v1/chat/completions", json=BODY).status_code == 500
    assert len(server.engine.requests) == 2


def test_an_answer_that_only_the_room_cut_is_not_kept(seekd_server: Start) -> None:
    server = seekd_server(say("x" * 1000), response_cache=ON, context_length=200)
    assert [result(ask(server, max_tokens=4000)) for _ in range(2)] == ["miss", "miss"]
    assert [result(ask(server, max_tokens=20)) for _ in range(2)] == ["miss", "hit"]


def test_a_hit_costs_what_the_setting_says_and_is_marked_in_the_usage(seekd_server: Start, shell: Shell) -> None:
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "4.00")
    server = seekd_server(say("0123456789"), accounts=PRICED, response_cache=ON)

    def balance() -> str:
        return str(shell.run("accounts", "show", account_id)["balances"][0]["total_balance"])

    assert (result(ask(server, key=key, max_tokens=10)), balance()) == ("miss", "3.00")
    assert (result(ask(server, key=key, max_tokens=10)), balance()) == ("hit", "3.00")
    [line] = shell.run("usage", "--by", "model")
    assert (line["num_requests"], line["num_cached"], line["num_completion_tokens"], line["cost"]) == (2, 1, 20, "1.00")
    assert shell.run("ledger", "verify")["is_valid"]


def test_a_share_of_the_price_is_charged_and_who_cannot_pay_it_is_refused(seekd_server: Start, shell: Shell) -> None:
    account_id, key = shell.new_key()
    shell.run("accounts", "top-up", account_id, "1.30")
    price = PriceSetting(model="deepseek-chat", currency="USD", hit="0", miss="0", output="100000")
    server = seekd_server(
        say("0123456789"),
        accounts=AccountsSettings(prices=(price,), synchronous="normal"),
        response_cache=ResponseCacheSettings(use="on", price_share=0.25),
    )
    ask(server, key=key, max_tokens=10)
    assert result(ask(server, key=key, max_tokens=10)) == "hit"
    assert shell.run("accounts", "show", account_id)["balances"][0]["total_balance"] == "0.05"
    refused = httpx.post(
        f"{server.url}/v1/chat/completions",
        json={**BODY, "max_tokens": 10},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )
    assert refused.status_code == 402


def test_a_retry_under_an_idempotency_key_gets_the_bytes_and_a_repeat_the_answer(seekd_server: Start) -> None:
    server = seekd_server(numbered(), response_cache=ON)
    first = ask(server, headers={"Idempotency-Key": "a"}, stream=True)
    retry = ask(server, headers={"Idempotency-Key": "a"}, stream=True)
    repeat = ask(server, headers={"Idempotency-Key": "b"}, stream=True)
    assert first.content == retry.content
    assert (result(repeat), text(repeat)) == ("hit", text(first))
    assert repeat.content == ask(server, headers={"Idempotency-Key": "b"}, stream=True).content


def test_the_original_rhythm_takes_its_time(seekd_server: Start, tmp_path: Path) -> None:
    def script(_: EngineRequest) -> Iterable[ScriptStep]:
        return [EmitText(text="a"), Delay(delay_s=0.3), EmitText(text="b")]

    for replay, takes_time in (("original", True), ("at_once", False)):
        cache = ResponseCacheSettings(use="on", replay=replay)  # type: ignore[arg-type]
        server = seekd_server(script, response_cache=cache, data_dir=tmp_path / replay)
        ask(server)
        started_s = time.monotonic()
        answer = ask(server, stream=True)
        assert (result(answer), text(answer)) == ("hit", "ab")
        if takes_time:
            assert time.monotonic() - started_s >= 0.3


def test_an_answer_is_forgotten_after_its_lifetime(seekd_server: Start) -> None:
    server = seekd_server(numbered(), response_cache=ResponseCacheSettings(use="on", lifetime_s=0.5))
    assert result(ask(server)) == "miss"
    time.sleep(0.6)
    assert result(ask(server)) == "miss"


def test_the_least_recently_used_answers_make_room(seekd_server: Start) -> None:
    cache = ResponseCacheSettings(use="on", ram=ByteSize(8000))
    server = seekd_server(numbered(), response_cache=cache)
    for seed in range(60):
        assert result(ask(server, seed=seed)) == "miss"
    assert 4000 < metric(server, 'seekd_response_cache_bytes{tier="ram"}') <= 8000
    assert result(ask(server, seed=59)) == "hit"
    assert result(ask(server, seed=0)) == "miss"
    assert metric(server, 'seekd_response_cache_requests_total{result="hit"}') == 1


def test_answers_in_the_data_directory_outlive_the_server(tmp_path: Path) -> None:
    cache = ResponseCacheSettings(use="on", store="directory")
    with serve_script(numbered(), data_dir=tmp_path / "data", response_cache=cache) as server:
        first = ask(server, stream=True)
    with serve_script(numbered(), data_dir=tmp_path / "data", response_cache=cache) as server:
        second = ask(server)
        assert (result(first), result(second), text(second)) == ("miss", "hit", text(first))
        assert not server.engine.requests
        assert metric(server, 'seekd_response_cache_bytes{tier="disk"}') > 0
    [file] = (tmp_path / "data" / "answers").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(file.read_bytes()[:-1] + b"?")  # what a disk may do
    with serve_script(numbered(), data_dir=tmp_path / "data", response_cache=cache) as server:
        assert result(ask(server)) == "miss"


def test_gateways_share_answers_in_redis_and_do_without_it_when_it_is_away(
    seekd_server: Start,
    redis_url: str,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    cache = ResponseCacheSettings(use="on", store="redis", redis_url=Secret(redis_url))
    first = seekd_server(numbered(), response_cache=cache, data_dir=tmp_path / "first")
    second = seekd_server(numbered(), response_cache=cache, data_dir=tmp_path / "second")
    seed = time.time_ns() % 2**31  # Redis is shared with other tests
    assert result(ask(first, seed=seed)) == "miss"
    deadline_s = time.monotonic() + 10
    while result(answer := ask(second, seed=seed)) != "hit":  # it is written after the answer
        assert time.monotonic() < deadline_s
    assert text(answer) in ("Answer number 0.", "Answer number 1.")
    away = ResponseCacheSettings(use="on", store="redis", redis_url=Secret(f"redis://127.0.0.1:{free_port()}"))
    alone = seekd_server(numbered(), response_cache=away, data_dir=tmp_path / "alone")
    assert [result(ask(alone)) for _ in range(2)] == ["miss", "miss"]


async def test_many_clients_at_once_get_one_answer_each(seekd_server: Start) -> None:
    server = seekd_server(numbered(), response_cache=ON)
    async with httpx.AsyncClient(timeout=60) as client:
        answers = await asyncio.gather(
            *(client.post(f"{server.url}/v1/chat/completions", json={**BODY, "seed": n % 5}) for n in range(50))
        )
    by_seed: dict[int, set[str]] = {}
    for number, answer in enumerate(answers):
        by_seed.setdefault(number % 5, set()).add(text(answer))
    assert all(len(found) == 1 for found in by_seed.values())
    assert len(server.engine.requests) == 5
