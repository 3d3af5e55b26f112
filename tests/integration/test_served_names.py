"""A request has one served name, and money, access, limits, caches and the guard go by it, however it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.reports import Dimension, UsageQuery, usage_report
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.accounts.types import OPEN_ACCOUNT_ID, Limits
from seekd.engine.scripted import EmitText, ScriptedVocabulary, say
from seekd.engine.types import EngineRequest
from seekd.guard.settings import GuardSettings, OverrideSetting
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.testing.server import ScriptedServer
from tests.extensions import install

Start = Callable[..., ScriptedServer]

HI = [{"role": "user", "content": "Hi"}]
ALIASES = ("claude-opus-x", "claude-sonnet-4", "gpt-4", "", "deepseek-v4-pro[1m]", "deepseek-flash[1m]")
"""Names that only the Messages route takes."""


def _price(model: str, output: str = "1") -> PriceSetting:
    return PriceSetting(model=model, currency="USD", hit="0", miss="0", output=output)


def _message(server: ScriptedServer, model: str, **options: Any) -> httpx.Response:
    body = {"model": model, "max_tokens": 5, "messages": HI, **options.pop("body", {})}
    return httpx.post(f"{server.url}/anthropic/v1/messages", json=body, timeout=30, **options)


def _chat(server: ScriptedServer, model: str, **options: Any) -> httpx.Response:
    body = {"model": model, "max_tokens": 5, "messages": HI}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=30, **options)


def _error(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


@pytest.mark.fault("price-by-alias")
@pytest.mark.parametrize("dialect", ["classic", "hosted"])
def test_a_name_written_otherwise_costs_what_its_model_costs(seekd_server: Start, dialect: str) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(official_prices=True))
    headers = {"X-Seekd-Dialect": dialect}
    statuses = {name: _message(server, name, headers=headers).status_code for name in (*ALIASES, "deepseek-v4-pro")}
    unknown = {"gpt-4", ""} if dialect == "hosted" else set()
    assert statuses == {name: 400 if name in unknown else 402 for name in statuses}
    assert not server.engine.requests


@pytest.mark.fault("price-by-alias")
def test_a_long_prompt_under_another_name_is_refused_for_money_and_for_nothing_else(seekd_server: Start) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(official_prices=True))
    long = {"messages": [{"role": "user", "content": "word " * 10_000}]}
    refused = _message(server, "claude-opus-x", body=long)
    assert (refused.status_code, _error(refused)) == (402, "Insufficient Balance")


def test_hosted_refuses_an_unknown_name_of_a_message_in_the_services_words(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    headers = {"X-Seekd-Dialect": "hosted"}
    body = {"model": "gpt-4", "messages": HI}
    counted = httpx.post(f"{server.url}/anthropic/v1/messages/count_tokens", json=body, headers=headers)
    for refused in (_message(server, "gpt-4", headers=headers), counted):
        assert refused.status_code == 400
        assert re.fullmatch("The supported API model names are .*, but you passed gpt-4.", _error(refused))
    assert not server.engine.requests


def test_a_model_for_pictures_is_not_listed(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    name = "deepseek-v4-flash-vision-exp"
    listed = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert name not in [item["id"] for item in listed]
    assert httpx.get(f"{server.url}/v1/models/{name}").status_code == 404
    assert _chat(server, name).status_code == 200, "who asks for it with text alone is answered"


@pytest.mark.fault("price-by-alias")
def test_the_books_have_the_served_name_and_the_answer_the_written_one(seekd_server: Start, tmp_path: Path) -> None:
    accounts = AccountsSettings(prices=(_price("deepseek-v4-pro"), _price("deepseek-flash", "2")))
    server = seekd_server(say("four"), accounts=accounts, data_dir=tmp_path)
    with closing(open_connection(accounts, tmp_path)) as connection:
        Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=1_000_000)
        for name in ("claude-opus-x", "deepseek-v4-pro[1m]", "gpt-4"):
            assert _message(server, name).json()["model"] == name
        lines = usage_report(connection, UsageQuery(by=(Dimension.MODEL,)))
        assert {line.model: line.cost for line in lines} == {
            "deepseek-v4-pro": "0.000008",
            "deepseek-flash": "0.000008",
        }


@pytest.mark.fault("price-by-alias")
def test_one_price_is_that_of_every_name_of_its_model(seekd_server: Start) -> None:
    server = seekd_server(say("x"), accounts=AccountsSettings(prices=(_price("deepseek-chat"),)))
    for name in ("deepseek-chat", "deepseek-reasoner", "deepseek-v4-pro"):
        assert _chat(server, name).status_code == 402
        assert _message(server, name).status_code == 402


@pytest.mark.fault("missing-price")
def test_a_name_without_a_price_is_refused_and_the_start_says_so(
    seekd_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    prices = (_price("deepseek-chat", "0"), _price("deepseek-reasoner", "0"))
    server = seekd_server(say("x"), accounts=AccountsSettings(prices=prices))
    assert "no price for deepseek-flash, deepseek-v4-flash, " in caplog.text
    for refused in (_chat(server, "deepseek-v4-pro"), _message(server, "claude-opus-x")):
        assert refused.status_code == 400
        assert "no price for the model 'deepseek-v4-pro'" in _error(refused)
        assert "accounts.prices" in _error(refused)
    assert not server.engine.requests
    assert _chat(server, "deepseek-chat").status_code == 200, "a price of 0 is a price"


@pytest.mark.fault("rules-by-alias")
def test_a_key_for_some_models_is_for_every_name_of_these_and_no_other(seekd_server: Start, tmp_path: Path) -> None:
    server = seekd_server(say("x"), data_dir=tmp_path)
    with closing(open_connection(AccountsSettings(), tmp_path)) as connection:
        options = KeyOptions(allowed_models=["deepseek-v4-pro", "gpt-4"])
        headers = {"x-api-key": Registry(connection).create_key(OPEN_ACCOUNT_ID, options).secret}
    assert _message(server, "claude-opus-x", headers=headers).status_code == 200
    assert _message(server, "deepseek-v4-pro[1m]", headers=headers).status_code == 200
    assert _message(server, "gpt-4", headers=headers).status_code == 400, "it stands for deepseek-flash"
    body = {"model": "deepseek-flash", "messages": HI}
    for path in ("/tokenize", "/anthropic/v1/messages/count_tokens"):
        assert httpx.post(f"{server.url}{path}", json=body, headers=headers).status_code == 400, path
        allowed = {**body, "model": "deepseek-v4-pro"}
        assert httpx.post(f"{server.url}{path}", json=allowed, headers=headers).status_code == 200, path


@pytest.mark.fault("rules-by-alias")
def test_limits_the_cache_and_the_guard_know_a_model_by_all_its_names(seekd_server: Start) -> None:
    server = seekd_server(
        say("x"),
        accounts=AccountsSettings(model_limits={"deepseek-v4-pro": Limits(requests_per_minute=1)}),
        response_cache=ResponseCacheSettings(models={"deepseek-flash": "on"}, repeats="all"),
        guard=GuardSettings(overrides=(OverrideSetting(model="deepseek-v4-pro", max_messages=1),)),
    )
    two = {"messages": [*HI, {"role": "assistant", "content": "Hello"}, *HI]}
    assert "guard.max_messages" in _error(_message(server, "claude-opus-x", body=two))
    assert _message(server, "claude-sonnet-4", body=two).status_code == 200
    assert [_message(server, "gpt-4").headers["x-seekd-cache"] for _ in range(2)] == ["miss", "hit"]
    assert [_message(server, name).status_code for name in ("claude-opus-1", "claude-opus-2")] == [200, 429]


ROUTER = """
class Router:
    def route(self, question):
        names = [candidate.name for candidate in question.candidates]
        return "remote" if "remote" in names and question.model == "claude-opus-x" else None
"""


def _routed_server(start: Start, place: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> ScriptedServer:
    place.mkdir()
    entry_points = {"seekd.routers": "far = route_far:Router"}
    install(place, monkeypatch, module="route_far", code=ROUTER, entry_points=entry_points)
    return start(lambda request: [EmitText(text=_prompt(request))], own_models=["remote"], router="far", **options)


def _prompt(request: EngineRequest) -> str:
    vocabulary = ScriptedVocabulary()
    prompt = b"".join(map(vocabulary.token_bytes, request.prompt_token_ids)).decode()
    return prompt.rpartition("<｜User｜>")[2].partition("<｜")[0]


@pytest.mark.fault("rules-by-routed-name")
def test_a_routed_request_keeps_to_what_holds_for_the_model_that_answers(
    seekd_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _routed_server(
        seekd_server,
        tmp_path / "package",
        monkeypatch,
        guard=GuardSettings(overrides=(OverrideSetting(model="remote", redact=("email",), restore=False),)),
        accounts=AccountsSettings(
            prices=(_price("remote"), _price("deepseek-v4-pro", "0")),
            model_limits={"remote": Limits(requests_per_minute=2)},
        ),
    )
    body = {
        "messages": [{"role": "user", "content": "ask a.b@example.com"}],
        "thinking": {"type": "disabled"},
        "max_tokens": 100,
    }
    own = _message(server, "claude-opus-1", body=body)
    assert (own.json()["content"][0]["text"], own.headers.get("x-seekd-model")) == ("ask a.b@example.com", None)
    assert _message(server, "claude-opus-x", body=body).status_code == 402
    with closing(open_connection(AccountsSettings(), tmp_path / "seekd")) as connection:
        Registry(connection).top_up(OPEN_ACCOUNT_ID, currency="USD", micros=1_000_000)
    routed = _message(server, "claude-opus-x", body=body)
    assert (routed.json()["content"][0]["text"], routed.headers["x-seekd-model"]) == ("ask [EMAIL_1]", "remote")
    assert routed.json()["model"] == "claude-opus-x"
    assert _message(server, "claude-opus-x", body=body).status_code == 429, "the one that could not pay counts, too"


@pytest.mark.fault("rules-by-routed-name")
def test_a_router_gives_no_key_a_model_that_it_is_not_for(
    seekd_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _routed_server(seekd_server, tmp_path / "package", monkeypatch)
    with closing(open_connection(AccountsSettings(), tmp_path / "seekd")) as connection:
        options = KeyOptions(allowed_models=["deepseek-v4-pro"])
        headers = {"x-api-key": Registry(connection).create_key(OPEN_ACCOUNT_ID, options).secret}
    answer = _message(server, "claude-opus-x", headers=headers)
    assert (answer.status_code, answer.headers.get("x-seekd-model")) == (200, None)


@pytest.mark.fault("endless-name")
@pytest.mark.parametrize("name", ["x" * 257, "x" * 3_000_000, "a\0b", "line\nbreak", "\u202etxt"])
def test_names_that_cannot_be_stored_are_refused_without_an_echo(
    seekd_server: Start, tmp_path: Path, name: str
) -> None:
    server = seekd_server(say("x"), data_dir=tmp_path)
    responses = [_message(server, name), _chat(server, name)]
    responses += [
        httpx.post(f"{server.url}{path}", json={"model": name, **fields})
        for path, fields in (
            ("/v1/responses", {"input": "Hi"}),
            ("/beta/completions", {"prompt": "Hi"}),
            ("/tokenize", {"text": "Hi"}),
            ("/anthropic/v1/messages/count_tokens", {"messages": HI}),
        )
    ]
    for response in responses:
        assert response.status_code == 400
        assert "at most 256 printable characters" in _error(response)
        assert len(response.content) < 500
    assert not server.engine.requests


@pytest.mark.fault("endless-name")
def test_a_user_id_has_a_limit_in_every_protocol(seekd_server: Start) -> None:
    server = seekd_server(say("x"))
    for length, status in ((512, 200), (513, 400)):
        user_id = "u" * length
        bodies: dict[str, dict[str, Any]] = {
            "/v1/chat/completions": {"messages": HI, "user_id": user_id},
            "/v1/responses": {"input": "Hi", "user": user_id},
            "/anthropic/v1/messages": {"messages": HI, "metadata": {"user_id": user_id}},
        }
        for path, body in bodies.items():
            answer = httpx.post(f"{server.url}{path}", json={"model": "deepseek-chat", "max_tokens": 5, **body})
            assert answer.status_code == status, path
