"""`hosted` against what is known of the service's bytes; see golden/README.md."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seekd.accounts.types import Balance, CurrencyBalance
from seekd.engine.scripted import say
from seekd.errors import (
    ContextTooLong,
    InsufficientBalance,
    Overloaded,
    Unauthenticated,
    UnknownModel,
)
from seekd.prompt.types import PromptUsage
from seekd.testing.server import serve_script
from seekd.wire.balance import balance_body
from seekd.wire.dialect import HOSTED
from seekd.wire.failures import failure_response
from tests.wire.driving import CREATED_S, Json, chat, drive

_GOLDEN = Path(__file__).parent / "golden"
_ERRORS: list[Json] = json.loads((_GOLDEN / "hosted_errors.json").read_text())
_STREAMS: list[Json] = json.loads((_GOLDEN / "hosted_streams.json").read_text())
_CALL_ID = re.compile(r'"id":"(call_00_[A-Za-z0-9]{20}[0-9]{4})"')


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serve_script(say("Hello"), data_dir=tmp_path_factory.mktemp("golden")) as server,
        httpx.Client(base_url=server.url, headers={"x-seekd-dialect": "hosted"}) as client,
    ):
        yield client


@pytest.mark.parametrize("vector", _ERRORS, ids=lambda vector: vector["name"])
def test_a_refusal_has_the_services_bytes(http: httpx.Client, vector: Json) -> None:
    request = vector["request"]
    response = http.request(
        request["method"],
        request["path"],
        content=request["body"].encode(),
        headers={"content-type": request["content_type"]},
    )
    assert response.content.decode() == vector["body"]
    assert response.status_code == vector["status"]
    assert response.headers.get("content-type") == vector["content_type"]
    if vector["num_bytes"] is not None:
        assert len(response.content) == vector["num_bytes"]


_MESSAGES: Json = {"model": "deepseek-flash", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
_CHAT: Json = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}
_SCHEMA = {"type": "object", "properties": {}}
_SESSION = {"version": 1, "sessionFormatVersion": 1, "session": "s", "events": ["x" * 8 * 1024 * 1024]}
_REMINDER = {"role": "latest_reminder", "content": "2026-11-09,Monday,Singapore,Web,English"}
_MARKS = {
    "cache_control": {"type": "ephemeral"},
    "eager_input_streaming": True,
    "allowed_callers": ["direct"],
    "input_examples": [{}],
}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/anthropic/v1/messages", {**_MESSAGES, "model": "claude-x"}),
        ("/anthropic/messages", _MESSAGES),
        ("/anthropic/v1/messages", {**_MESSAGES, "tools": [{"name": "f", "input_schema": _SCHEMA, **_MARKS}]}),
        ("/anthropic/v1/messages", {**_MESSAGES, "tools": []}),
        ("/anthropic/v1/messages", {**_MESSAGES, "dsh_plugin_packages": {"version": 1}, "dsh_session_log": _SESSION}),
        ("/chat/completions", {**_CHAT, "messages": [_REMINDER, *_CHAT["messages"]]}),
        ("/anthropic/v1/messages", {**_MESSAGES, "messages": [_REMINDER, *_MESSAGES["messages"]]}),
        ("/chat/completions", {**_CHAT, "user_id": "\u4e2d " * 128}),
    ],
    ids=[
        "any claude",
        "short path",
        "marks of a tool",
        "no tools",
        "session log",
        "reminder",
        "reminder in Messages",
        "user_id of 512 bytes",
    ],
)
def test_what_the_service_takes_is_taken(http: httpx.Client, path: str, body: Json) -> None:
    assert http.post(path, json=body).status_code == 200


@pytest.mark.parametrize("vector", _STREAMS, ids=lambda vector: vector["name"])
def test_a_stream_has_the_services_bytes(vector: Json) -> None:
    stream = drive(chat(vector["body"], dialect=HOSTED), vector["generated"], response_id="ID").stream.decode()
    assert f'"created":{CREATED_S}' in stream
    assert _CALL_ID.sub('"id":"CALL_ID"', stream) == vector["stream"]


def test_a_whole_answer_has_the_keys_in_the_services_order() -> None:
    # docs/reference/wire.md §10.1, its parts from recordings; texts shortened.
    expected = (
        '{"id":"ID","object":"chat.completion","created":1795354258,"model":"deepseek-v4-flash","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"Hi","reasoning_content":"Hmm."},"logprobs":null,'
        '"finish_reason":"stop"}],"usage":{"prompt_tokens":563,"completion_tokens":3,"total_tokens":566,'
        '"prompt_tokens_details":{"cached_tokens":512},"completion_tokens_details":{"reasoning_tokens":1},'
        '"prompt_cache_hit_tokens":512,"prompt_cache_miss_tokens":51},"system_fingerprint":"fp_x"}'
    )
    answer = drive(
        chat({"model": "deepseek-reasoner"}, dialect=HOSTED),
        ["Hmm.", "</think>", "Hi"],
        usage=PromptUsage(num_prompt_tokens=563, num_cached_tokens=512),
        response_id="ID",
    )
    assert json.dumps(answer.whole, separators=(",", ":"), ensure_ascii=False) == expected


def test_a_request_without_a_key_meets_the_governor() -> None:
    failure = failure_response(Unauthenticated(), HOSTED)
    assert (failure.status, failure.content_type) == (401, None)
    assert failure.body == b"Authentication Fails (governor)"
    assert len(failure.body) == 31


def test_an_unknown_key_is_shown_by_its_last_four_characters() -> None:
    failure = failure_response(Unauthenticated(key_tail="0000"), HOSTED)
    assert (failure.status, failure.content_type) == (401, "application/json")
    assert failure.body == (
        b'{"error":{"message":"Authentication Fails, Your api key: ****0000 is invalid","type":"authentication_error",'
        b'"param":null,"code":"invalid_request_error"}}'
    )
    assert len(failure.body) == 153


def test_an_empty_account_has_the_odd_type() -> None:
    failure = failure_response(InsufficientBalance(), HOSTED)
    assert failure.status == 402
    assert json.loads(failure.body)["error"] == {
        "message": "Insufficient Balance",
        "type": "unknown_error",
        "param": None,
        "code": "invalid_request_error",
    }


def test_overload_names_itself_twice() -> None:
    failure = failure_response(Overloaded(), HOSTED)
    assert failure.status == 503
    error = json.loads(failure.body)["error"]
    assert error["message"].startswith("Service is too busy. We advise users to temporarily switch")
    assert error["type"] == error["code"] == "service_unavailable_error"


def test_context_overflow_counts_both_parts() -> None:
    error = ContextTooLong(context_length=1_048_576, num_prompt_tokens=1_000_000, num_requested_tokens=100_000)
    failure = failure_response(error, HOSTED)
    assert failure.status == 400
    assert json.loads(failure.body)["error"]["message"] == (
        "This model's maximum context length is 1048576 tokens. However, you requested 1100000 tokens (1000000 in the "
        "messages, 100000 in the completion). Please reduce the length of the messages or completion."
    )


def test_an_unknown_model_is_told_the_names() -> None:
    failure = failure_response(UnknownModel("X", known_models=("A", "B", "C")), HOSTED)
    assert failure.status == 400
    assert failure.content_type == "application/octet-stream"
    assert json.loads(failure.body)["error"]["message"] == (
        "The supported API model names are A, B, C, but you passed X."
    )


def test_every_answer_has_the_services_headers(http: httpx.Client) -> None:
    for response in (http.get("/models"), http.get("/nope"), http.post("/chat/completions", content=b"")):
        assert response.headers["vary"] == "origin, access-control-request-method, access-control-request-headers"
        assert response.headers["access-control-allow-credentials"] == "true"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-ds-trace-id"])
        assert "x-request-id" not in response.headers


def test_a_balance_has_amounts_as_text() -> None:
    entry = CurrencyBalance(currency="CNY", granted_micros=10_000_000, topped_up_micros=100_000_000, held_micros=0)
    assert balance_body(Balance(account_id="a", is_available=True, currencies=(entry,))) == (
        b'{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"110.00",'
        b'"granted_balance":"10.00","topped_up_balance":"100.00"}]}'
    )


def test_a_plain_stream_over_http_ends_as_the_service_does(http: httpx.Client) -> None:
    response = http.post(
        "/chat/completions",
        json={"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
    )
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.text.endswith("\n\ndata: [DONE]\n\n")
    assert re.match(
        r'data: \{"id":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"', response.text
    )
