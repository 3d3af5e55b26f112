"""Limits and moderation, as clients meet them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from seekd.accounts.reports import UsageQuery, usage_report
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.store import open_connection
from seekd.engine.scripted import say
from seekd.guard.settings import GuardSettings, OverrideSetting
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.testing.server import ScriptedServer, serve_script
from tests.extensions import example, install
from tests.moderation_service import ModerationService, flags, moderation_service

MAIL = "anna@example.com"
REFUSED = {
    "error": {
        "message": "Content Exists Risk",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_request_error",
    }
}


@pytest.fixture
def service() -> Iterator[ModerationService]:
    with moderation_service() as running:
        yield running


def _post(server: ScriptedServer, text: str = "hello", path: str = "/chat/completions", **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": text}], **more}
    return httpx.post(f"{server.url}{path}", json=body, headers=headers)


def _text(answer: httpx.Response) -> str:
    chunks = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk.get("choices"))


def test_each_limit_names_itself_its_value_and_its_setting(tmp_path: Path) -> None:
    guard = GuardSettings(
        max_messages=2,
        max_tools=1,
        max_schema_bytes=200,
        max_prompt_tokens=100,
        overrides=(OverrideSetting(model="deepseek-reasoner", max_messages=1),),
    )
    tool: dict[str, Any] = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
    }
    other = {**tool, "function": {**tool["function"], "name": "g"}}
    big = {"type": "function", "function": {"name": "f", "description": "x" * 200, "parameters": {"type": "object"}}}
    messages = [{"role": "user", "content": "a"}] * 3
    with serve_script(say("fine"), data_dir=tmp_path, guard=guard) as server:
        assert _post(server).status_code == 200
        found = [
            _post(server, messages=messages),
            _post(server, messages=messages[:2], model="deepseek-reasoner"),
            _post(server, tools=[tool, other]),
            _post(server, tools=[big]),
            _post(server, "x" * 200),
            _post(server, path="/responses", input=[*messages]),
        ]
        texts = [answer.json()["error"]["message"] for answer in found]
        assert [answer.status_code for answer in found] == [400] * 6
    assert texts[0] == texts[5] == "The request has 3 messages; this server takes 2 (guard.max_messages)."
    assert texts[1] == "The request has 2 messages; this server takes 1 (guard.max_messages)."
    assert texts[2] == "The request has 2 tools; this server takes 1 (guard.max_tools)."
    assert texts[3].endswith("bytes of tools and their schemas; this server takes 200 (guard.max_schema_bytes).")
    assert texts[4].endswith("prompt tokens; this server takes 100 (guard.max_prompt_tokens).")


def test_a_refused_request_has_the_services_body_and_never_reaches_the_model(
    tmp_path: Path, service: ModerationService
) -> None:
    guard = GuardSettings(moderation=service.url, redact=("email",))
    with serve_script(say("fine"), data_dir=tmp_path, guard=guard) as server:
        for dialect in ("classic", "hosted"):
            answer = _post(server, f"forbidden {MAIL}", headers={"X-Seekd-Dialect": dialect})
            assert (answer.status_code, answer.json()) == (400, REFUSED)
        assert server.engine.requests == []
        assert service.texts == ["forbidden [EMAIL_1]"] * 2
        passed = _post(server, "hello")
        assert passed.headers["x-seekd-moderation"] == "input=passed"
        assert service.texts[2:] == ["hello", "fine"]
        metrics = httpx.get(f"{server.url}/metrics").text
    assert 'seekd_moderations_total{outcome="refused",stage="input"} 2.0' in metrics


def test_in_windows_an_answer_is_refused_before_any_of_the_window_is_sent(
    tmp_path: Path, service: ModerationService
) -> None:
    guard = GuardSettings(moderation=service.url, moderation_window_chars=20)
    answer = "a long and harmless beginning, and then something forbidden, and more"
    with serve_script(say(answer), data_dir=tmp_path, guard=guard) as server:
        whole = _post(server)
        assert (whole.status_code, whole.json()) == (400, REFUSED)
        stream = _post(server, stream=True)
        assert stream.status_code == 200
        assert answer.startswith(_text(stream))
        assert 20 <= len(_text(stream)) < answer.index("forbidden")
        assert stream.text.endswith(f"data: {json.dumps(REFUSED, separators=(',', ':'))}\n\n")
        assert len(server.engine.aborted_request_ids) == 1
        counted = httpx.get(f"{server.url}/metrics").text
        assert re.search(r'seekd_request_total\{[^}]*outcome="refused"\} 2\.0', counted)
        with openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=0) as client:
            with pytest.raises(openai.BadRequestError, match="Content Exists Risk"):
                client.chat.completions.create(model="deepseek-chat", messages=[{"role": "user", "content": "x"}])
            with pytest.raises(openai.APIError, match="Content Exists Risk"):
                list(
                    client.chat.completions.create(
                        model="deepseek-chat", messages=[{"role": "user", "content": "x"}], stream=True
                    )
                )


@pytest.mark.parametrize("logprobs", [False, True])
def test_a_first_window_that_is_refused_is_a_real_400(
    tmp_path: Path, service: ModerationService, logprobs: bool
) -> None:
    with serve_script(say("forbidden"), data_dir=tmp_path, guard=GuardSettings(moderation=service.url)) as server:
        stream = _post(server, stream=True, logprobs=logprobs)
        assert (stream.status_code, stream.json()) == (400, REFUSED)


def test_at_the_end_a_stream_flows_and_ends_with_the_error(tmp_path: Path, service: ModerationService) -> None:
    guard = GuardSettings(moderation=service.url, moderate_output="end")
    with serve_script(say("all of it, forbidden"), data_dir=tmp_path, guard=guard) as server:
        stream = _post(server, stream=True)
        assert _text(stream) == "all of it, forbidden"
        assert "Content Exists Risk" in stream.text
        assert "[DONE]" not in stream.text
        assert _post(server).status_code == 400


def test_what_was_generated_and_refused_is_charged_and_not_kept_for_retries(
    tmp_path: Path, service: ModerationService
) -> None:
    accounts = AccountsSettings(official_prices=False)
    guard = GuardSettings(moderation=service.url)
    with serve_script(say("forbidden"), data_dir=tmp_path, guard=guard, accounts=accounts) as server:
        headers = {"Idempotency-Key": "k"}
        assert _post(server, headers=headers).status_code == 400
        service.answer = lambda _: (200, b'{"results":[{"flagged":false}]}')
        assert _post(server, headers=headers).json()["choices"][0]["message"]["content"] == "forbidden"
    connection = open_connection(accounts, tmp_path)
    try:
        [line] = usage_report(connection, UsageQuery(by=()))
    finally:
        connection.close()
    assert (line.num_requests, line.num_completion_tokens) == (2, 18)


@pytest.mark.parametrize("failure", ["refuse", "allow"])
def test_a_service_that_is_away_is_said_and_the_setting_decides(
    tmp_path: Path, service: ModerationService, failure: Any
) -> None:
    service.answer = lambda _: (500, b"")
    guard = GuardSettings(moderation=service.url, moderation_failure=failure)
    with serve_script(say("forbidden"), data_dir=tmp_path, guard=guard) as server:
        for stream in (False, True):
            answer = _post(server, stream=stream)
            if failure == "allow":
                assert answer.status_code == 200
                assert "forbidden" in answer.text or _text(answer) == "forbidden"
                assert answer.headers["x-seekd-moderation"] == "input=skipped"
            else:
                assert answer.status_code == 503
                assert "moderation service does not answer" in answer.json()["error"]["message"]


@pytest.mark.fault("refused-texts-in-schemas")
@pytest.mark.parametrize("place", ["response_format", "tools"])
def test_schemas_are_judged_too(tmp_path: Path, service: ModerationService, place: str) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["forbidden"]}}}
    more: dict[str, Any] = {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
    }
    with serve_script(say("{}"), data_dir=tmp_path, guard=GuardSettings(moderation=service.url)) as server:
        answer = _post(server, "as json", **{place: more[place]})
        assert (answer.status_code, answer.json()) == (400, REFUSED)
        assert not server.engine.requests


@pytest.mark.fault("moderation-without-a-verdict")
def test_an_answer_without_a_verdict_lets_nothing_pass(tmp_path: Path, service: ModerationService) -> None:
    service.answer = lambda _: (200, b'{"results":[]}')
    with serve_script(say("forbidden"), data_dir=tmp_path, guard=GuardSettings(moderation=service.url)) as server:
        answer = _post(server)
        assert answer.status_code == 503
        assert "moderation service does not answer" in answer.json()["error"]["message"]
        assert not server.engine.requests


def test_models_and_accounts_have_their_own_rules(tmp_path: Path, service: ModerationService) -> None:
    overrides = (OverrideSetting(model="deepseek-reasoner", moderate_input=False, moderate_output="off"),)
    guard = GuardSettings(moderation=service.url, overrides=overrides)
    with serve_script(say("fine"), data_dir=tmp_path, guard=guard) as server:
        answer = _post(server, "forbidden", model="deepseek-reasoner")
        assert answer.status_code == 200
        assert "x-seekd-moderation" not in answer.headers
        assert service.questions == []


def test_a_guard_of_another_package_judges_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "package"
    place.mkdir()
    entry_points = {"seekd.guards": "house = house_rules:HouseRules"}
    install(place, monkeypatch, module="house_rules", code=example("house_rules"), entry_points=entry_points)
    with serve_script(say("fine"), data_dir=tmp_path / "data", guard=GuardSettings(moderation="house")) as server:
        assert _post(server, "hello").status_code == 200
        assert _post(server, "Our secret recipe").json() == REFUSED


def test_a_kept_answer_is_judged_again_and_a_refused_one_is_not_kept(
    tmp_path: Path, service: ModerationService
) -> None:
    guard = GuardSettings(moderation=service.url, moderate_input=False)
    cache = ResponseCacheSettings(use="on")
    with serve_script(say("forbidden"), data_dir=tmp_path, guard=guard, response_cache=cache) as server:
        assert _post(server, temperature=0).status_code == 400
        service.answer = flags("nothing")
        found = [_post(server, temperature=0) for _ in range(2)]
        assert [answer.headers["x-seekd-cache"] for answer in found] == ["miss", "hit"]
        service.answer = flags("forbidden")
        assert _post(server, temperature=0).status_code == 400
        assert len(server.engine.requests) == 2


HIGH: dict[str, Any] = {"safety_check": {"level": "high"}}
PROTOCOLS: dict[str, dict[str, Any]] = {
    "/chat/completions": {},
    "/anthropic/v1/messages": {"max_tokens": 9},
    "/responses": {"input": "forbidden", "messages": None},
}


@pytest.mark.parametrize("path", PROTOCOLS)
def test_a_request_can_ask_to_be_judged(tmp_path: Path, service: ModerationService, path: str) -> None:
    guard = GuardSettings(moderation=service.url, moderate_input=False, moderate_output="off")
    with serve_script(say("fine"), data_dir=tmp_path, guard=guard) as server:
        assert _post(server, "forbidden", path, **PROTOCOLS[path]).status_code == 200
        assert _post(server, "forbidden", path, **PROTOCOLS[path], safety_check={"level": "low"}).status_code == 200
        assert not service.questions
        answer = _post(server, "forbidden", path, **PROTOCOLS[path], **HIGH)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Content Exists Risk")


def test_an_answer_is_judged_for_who_asks(tmp_path: Path, service: ModerationService) -> None:
    guard = GuardSettings(moderation=service.url, moderate_input=False, moderate_output="off")
    with serve_script(say("forbidden"), data_dir=tmp_path, guard=guard) as server:
        assert "forbidden" in _post(server).text
        for stream in (False, True):
            answer = _post(server, stream=stream, **HIGH)
            assert (answer.status_code, answer.json()) == (400, REFUSED)


def test_who_asks_to_be_judged_gets_nothing_without_a_verdict(tmp_path: Path, service: ModerationService) -> None:
    service.answer = lambda _: (500, b"")
    guard = GuardSettings(moderation=service.url, moderation_failure="allow")
    with serve_script(say("fine"), data_dir=tmp_path, guard=guard) as server:
        assert _post(server).status_code == 200
        assert _post(server, **HIGH).status_code == 503


@pytest.mark.parametrize("path", PROTOCOLS)
def test_without_a_moderation_service_nobody_is_told_to_be_judged(tmp_path: Path, path: str) -> None:
    with serve_script(say("fine"), data_dir=tmp_path) as server:
        answer = _post(server, "hello", path, **PROTOCOLS[path], **HIGH)
        assert answer.status_code == 400
        assert "needs a moderation service" in answer.json()["error"]["message"]
        assert not server.engine.requests
