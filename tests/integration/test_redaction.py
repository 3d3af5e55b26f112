"""Sensitive data never reaches the model, and comes back where it is asked for."""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from seekd.accounts.settings import AccountsSettings
from seekd.engine.scripted import EmitText, ScriptStep
from seekd.engine.types import EngineRequest
from seekd.guard.settings import GuardSettings, OverrideSetting, PatternSetting
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.testing.server import ScriptedServer, serve_script
from tests.extensions import example, install

GUARD = GuardSettings(
    redact=("email", "phone", "iban", "key", "ip", "secret"),
    block=("card",),
    patterns=(PatternSetting(rule="secret", pattern=r"secret\{[^}]*\}"),),
    overrides=(OverrideSetting(model="deepseek-reasoner", restore=False),),
)
MAIL = "anna@example.com"
CALL = (
    "<｜DSML｜tool_calls>\n"
    '<｜DSML｜invoke name="send">\n'
    '<｜DSML｜parameter name="to" string="true">[EMAIL_1]</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="more" string="false">{"note": "[SECRET_1]"}</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n"
    "</｜DSML｜tool_calls>"
)
TOOLS: Any = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}]


class _Script:
    """Says what a test wants, one token at a time, and nothing else."""

    def __init__(self) -> None:
        self.answer = ""
        self.size = 1

    def __call__(self, _request: EngineRequest) -> Iterable[ScriptStep]:
        return (EmitText(text=self.answer, num_tokens_per_update=self.size),)


SCRIPT = _Script()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    accounts = AccountsSettings(report_cost_header=True)
    with serve_script(SCRIPT, data_dir=tmp_path_factory.mktemp("d"), guard=GUARD, accounts=accounts) as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=0) as running:
        yield running


def _say(answer: str, size: int = 1) -> None:
    SCRIPT.answer, SCRIPT.size = answer, size


def _prompt(server: ScriptedServer) -> str:
    vocabulary = server.engine.vocabulary
    token_ids = server.engine.requests[-1].prompt_token_ids
    return b"".join(vocabulary.token_bytes(token_id) for token_id in token_ids).decode()


def _post(server: ScriptedServer, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def _user(text: str, **more: object) -> dict[str, Any]:
    return {"model": "deepseek-chat", "messages": [{"role": "user", "content": text}], **more}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_whole_and_streamed_the_model_sees_placeholders_and_the_client_its_own_text(
    server: ScriptedServer, client: openai.OpenAI, size: int
) -> None:
    _say("Dear [EMAIL_1], call [PHONE_1] or [EMAIL_2] [x", size)
    messages: Any = [
        {"role": "system", "content": f"Answer {MAIL}"},
        {"role": "user", "content": f"I am {MAIL}, +49 30 901820, bob@example.com"},
    ]
    expected = f"Dear {MAIL}, call +49 30 901820 or bob@example.com [x"
    raw = client.chat.completions.with_raw_response.create(model="deepseek-chat", messages=messages)
    assert raw.parse().choices[0].message.content == expected
    assert raw.headers["x-seekd-redacted"] == "email=3;redact, phone=1;redact"
    assert raw.parse().usage.model_extra["redacted"] == {"email": 3, "phone": 1}  # type: ignore[union-attr,index]
    assert "Answer [EMAIL_1]" in _prompt(server)
    assert "I am [EMAIL_1], [PHONE_1], [EMAIL_2]" in _prompt(server)
    stream = client.chat.completions.create(
        model="deepseek-chat", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == expected
    assert chunks[-1].usage.model_extra["redacted"] == {"email": 3, "phone": 1}  # type: ignore[union-attr,index]


def test_text_that_cannot_become_a_placeholder_is_not_held_back(server: ScriptedServer, client: openai.OpenAI) -> None:
    _say("ab[c[EMAIL_1]d")
    stream = client.chat.completions.create(**_user(MAIL), stream=True)
    deltas = [chunk.choices[0].delta.content for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert deltas == ["a", "b", "[c", MAIL, "d"]


def test_history_tool_results_and_arguments_are_redacted_and_arguments_come_back_as_json(
    server: ScriptedServer, client: openai.OpenAI
) -> None:
    _say(CALL)
    messages: Any = [
        {"role": "user", "content": f"write to {MAIL}"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "send", "arguments": json.dumps({"to": MAIL})}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": f'{MAIL}: secret{{"a"\\\n}}'},
        {"role": "user", "content": "again"},
    ]
    create = client.chat.completions.create
    whole = create(model="deepseek-chat", messages=messages, tools=TOOLS)
    [call] = whole.choices[0].message.tool_calls or []
    expected = {"to": MAIL, "more": {"note": 'secret{"a"\\\n}'}}
    assert json.loads(call.function.arguments) == expected  # type: ignore[union-attr]
    assert MAIL not in _prompt(server)
    assert "secret{" not in _prompt(server)
    stream = create(model="deepseek-chat", messages=messages, tools=TOOLS, stream=True)
    parts = [
        call.function.arguments or ""
        for chunk in stream
        if chunk.choices
        for call in chunk.choices[0].delta.tool_calls or []
        if call.function
    ]
    assert json.loads("".join(parts)) == expected


def test_reasoning_comes_back_and_the_other_protocols_do_the_same(server: ScriptedServer) -> None:
    thought = "think of [EMAIL_1]</think>to [EMAIL_1]"
    _say(thought)
    body = _user(MAIL, thinking={"type": "enabled"})
    message = _post(server, "/chat/completions", body).json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == (f"think of {MAIL}", f"to {MAIL}")
    messages = {**body, "max_tokens": 500, "system": f"s {MAIL}"}
    answer = _post(server, "/anthropic/v1/messages", messages)
    assert [part.get("thinking", part.get("text")) for part in answer.json()["content"]] == [
        f"think of {MAIL}",
        f"to {MAIL}",
    ]
    assert answer.json()["usage"]["redacted"] == {"email": 2}
    streamed = _post(server, "/anthropic/v1/messages", {**messages, "stream": True}).text
    assert "[EMAIL_1]" not in streamed
    assert MAIL in streamed
    for stream in (False, True):
        _say("to [EMAIL_1]")
        text = _post(
            server,
            "/responses",
            {"model": "deepseek-chat", "input": f"x {MAIL}", "stream": stream, "reasoning": {"effort": "none"}},
        ).text
        assert "[EMAIL_1]" not in text
        assert f"to {MAIL}" in text
    completion = _post(server, "/beta/completions", {"model": "deepseek-chat", "prompt": f"p {MAIL}", "echo": True})
    assert completion.json()["choices"][0]["text"] == f"p {MAIL}to {MAIL}"
    assert MAIL not in _prompt(server)


def test_a_json_answer_stays_json(server: ScriptedServer) -> None:
    _say('{"note": "[SECRET_1]"}')
    body = _user('json of secret{"\n}', response_format={"type": "json_object"})
    content = _post(server, "/chat/completions", body).json()["choices"][0]["message"]["content"]
    assert json.loads(content) == {"note": 'secret{"\n}'}


BOB = "bob@example.com"
SCHEMA: Any = {
    "type": "object",
    "title": MAIL,
    "properties": {MAIL: {"enum": [BOB, "nobody"], "default": BOB}, "who": {"const": MAIL, "examples": [BOB]}},
    "required": [MAIL, "who"],
}
FITTING = '{"[EMAIL_1]": "[EMAIL_2]", "who": "[EMAIL_1]"}'
RESTORED = {MAIL: BOB, "who": MAIL}


def _assert_unseen(server: ScriptedServer) -> None:
    for text in (_prompt(server), repr(server.engine.requests[-1].constraint)):
        assert MAIL not in text
        assert BOB not in text
    assert "EMAIL_2" in repr(server.engine.requests[-1].constraint)


@pytest.mark.fault("sensitive-texts-in-schemas")
def test_a_schema_of_the_answer_is_redacted_and_the_answer_fits_the_callers_own(server: ScriptedServer) -> None:
    _say(FITTING)
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "description": f"of {MAIL}", "schema": SCHEMA}}
    chat = _post(server, "/chat/completions", _user("answer in json", response_format=wanted))
    assert json.loads(chat.json()["choices"][0]["message"]["content"]) == RESTORED
    _assert_unseen(server)
    body = {
        "model": "deepseek-chat",
        "input": "answer in json",
        "reasoning": {"effort": "none"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    }
    answer = _post(server, "/responses", body).json()
    assert json.loads(answer["output"][-1]["content"][0]["text"]) == RESTORED
    _assert_unseen(server)


@pytest.mark.fault("sensitive-texts-in-schemas")
@pytest.mark.parametrize("stream", [False, True])
def test_schemas_of_tools_are_redacted_and_the_calls_fit_the_callers_own(server: ScriptedServer, stream: bool) -> None:
    _say(
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="send">\n'
        '<｜DSML｜parameter name="[EMAIL_1]" string="true">[EMAIL_2]</｜DSML｜parameter>\n'
        '<｜DSML｜parameter name="who" string="true">[EMAIL_1]</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>"
    )
    tool = {"name": "send", "description": "mails", "input_schema": SCHEMA}
    body = _user("send", tools=[tool], max_tokens=500, thinking={"type": "disabled"}, stream=stream)
    answer = _post(server, "/anthropic/v1/messages", body)
    _assert_unseen(server)
    if stream:
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        parts = [event["delta"].get("partial_json", "") for event in events if event["type"] == "content_block_delta"]
        assert json.loads("".join(parts)) == RESTORED
    else:
        assert answer.json()["content"][-1]["input"] == RESTORED


@pytest.mark.parametrize("stream", [False, True])
def test_with_logprobs_the_text_comes_back_too(server: ScriptedServer, stream: bool) -> None:
    _say("to [EMAIL_1]!")
    answer = _post(server, "/chat/completions", _user(MAIL, logprobs=True, stream=stream))
    if stream:
        chunks = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: {")]
        choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
        assert "".join(choice["delta"].get("content") or "" for choice in choices) == f"to {MAIL}!"
    else:
        choice = answer.json()["choices"][0]
        assert choice["message"]["content"] == f"to {MAIL}!"
        assert len(choice["logprobs"]["content"]) == len("to [EMAIL_1]!")


def test_blocked_data_ends_the_request_and_is_not_repeated(server: ScriptedServer) -> None:
    num_before = len(server.engine.requests)
    answer = _post(server, "/chat/completions", _user("card 4111 1111 1111 1111"))
    assert answer.status_code == 400
    assert "card (guard.block)" in answer.json()["error"]["message"]
    assert "4111" not in answer.text
    assert len(server.engine.requests) == num_before


def test_a_request_adds_rules_and_says_whether_the_text_comes_back(server: ScriptedServer) -> None:
    _say("to [EMAIL_1]")
    answer = _post(server, "/chat/completions", _user(MAIL), X_Seekd_Restore="no")
    assert answer.json()["choices"][0]["message"]["content"] == "to [EMAIL_1]"
    refused = _post(server, "/chat/completions", _user(MAIL), X_Seekd_Redact="nothing")
    assert refused.status_code == 400
    assert "no rule 'nothing'" in refused.json()["error"]["message"]


@pytest.mark.fault("restore-against-the-settings")
@pytest.mark.parametrize("asked", [{}, {"X_Seekd_Restore": "yes"}])
def test_no_request_undoes_restore_false(server: ScriptedServer, asked: dict[str, str]) -> None:
    _say("to [EMAIL_1]")
    answer = _post(server, "/chat/completions", _user(MAIL, model="deepseek-reasoner"), **asked)
    assert answer.status_code == 200
    assert "[EMAIL_1]" in answer.text
    assert MAIL not in answer.text


def test_a_request_without_findings_is_as_ever(server: ScriptedServer) -> None:
    _say("[EMAIL_1] fine")
    answer = _post(server, "/chat/completions", _user("nothing here"))
    assert answer.json()["choices"][0]["message"]["content"] == "[EMAIL_1] fine"
    assert "x-seekd-redacted" not in answer.headers
    assert "redacted" not in answer.json()["usage"]


def test_a_wrong_body_is_blamed_at_its_own_place(server: ScriptedServer) -> None:
    text = '{"model":"deepseek-chat","messages":[{"role":"user","content":"%s"}],"max_tokens":"x"}'
    found = [
        httpx.post(f"{server.url}/chat/completions", content=text % word, headers={"content-type": "application/json"})
        for word in (MAIL, "a" * len(MAIL))
    ]
    assert found[0].status_code == 400
    assert found[0].json()["error"]["message"] == found[1].json()["error"]["message"]


@pytest.mark.fault("screened-body-of-many-levels")
@pytest.mark.parametrize(
    ("template", "words"),
    [
        ('"messages":[{"role":"user","content":%s}]', "recursion limit"),
        ('"messages":[],"tools":[%s]', "recursion limit"),
        ('"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":%s}}]}]', "recursion limit"),
        (
            (
                '"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":['
                '{"id":"c","type":"function","function":{"name":"f","arguments":%r}}]},'
                '{"role":"tool","tool_call_id":"c","content":"x"}]'
            ),
            "arguments of a call are nested too deeply",
        ),
    ],
)
def test_a_body_of_too_many_levels_is_refused(server: ScriptedServer, template: str, words: str) -> None:
    deep = '{"a":' * 700 + '"\\n"' + "}" * 700
    member = template.replace("%s", deep).replace("%r", json.dumps(deep))
    content = '{"model":"deepseek-chat",' + member + "}"
    answer = httpx.post(f"{server.url}/chat/completions", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_a_repeated_request_gets_the_same_answer_and_long_bodies_are_screened(server: ScriptedServer) -> None:
    _say("to [EMAIL_1]")
    body = _user("x" * 60_000 + f" {MAIL}", max_tokens=20)
    refused = _post(server, "/chat/completions", body)
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    answers = [_post(server, "/chat/completions", _user(MAIL), Idempotency_Key="k") for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["x-seekd-redacted"] == "email=1;redact"
    assert answers[1].json()["choices"][0]["message"]["content"] == f"to {MAIL}"


def test_findings_are_counted_and_logs_and_the_data_directory_know_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _say("to [EMAIL_1]")
    with caplog.at_level(logging.DEBUG), serve_script(SCRIPT, data_dir=tmp_path, guard=GUARD) as running:
        _post(running, "/chat/completions", _user(f"{MAIL} and {MAIL}"))
        exposed = httpx.get(f"{running.url}/metrics").text
    assert 'seekd_sensitive_findings_total{action="redact",rule="email"} 2.0' in exposed
    assert MAIL not in caplog.text
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert MAIL.encode() not in file.read_bytes(), file


def test_a_redactor_of_another_package_finds_what_has_no_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "package"
    place.mkdir()
    entry_points = {"seekd.redactors": "customers = customer_names:CustomerNames"}
    install(place, monkeypatch, module="customer_names", code=example("customer_names"), entry_points=entry_points)
    _say("Dear [CUSTOMER_1]")
    guard = GuardSettings(redact=("customers",))
    with serve_script(SCRIPT, data_dir=tmp_path / "data", guard=guard) as running:
        answer = _post(running, "/chat/completions", _user("for Ada Lovelace"))
        assert answer.json()["choices"][0]["message"]["content"] == "Dear Ada Lovelace"
        assert "for [CUSTOMER_1]" in _prompt(running)


SLOW = """
import threading

entered, release, lock = threading.Event(), threading.Event(), threading.Lock()
num_running = most_running = 0


class Slow:
    def find(self, text):
        global num_running, most_running
        with lock:
            num_running += 1
            most_running = max(most_running, num_running)
        entered.set()
        release.wait(20)
        with lock:
            num_running -= 1
        return []
"""


@pytest.mark.fault("slow-rules-asked-for")
def test_rules_that_take_their_time_take_none_of_other_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "package"
    place.mkdir()
    entry_points = {"seekd.redactors": "slow = slow_redactor:Slow"}
    install(place, monkeypatch, module="slow_redactor", code=SLOW, entry_points=entry_points)
    _say("fine")
    guard = GuardSettings(overrides=(OverrideSetting(model="deepseek-reasoner", redact=("slow",)),))
    with (
        serve_script(SCRIPT, data_dir=tmp_path / "data", guard=guard) as running,
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        slow = importlib.import_module("slow_redactor")
        asked = [pool.submit(_post, running, "/chat/completions", _user("x"), X_Seekd_Redact="slow") for _ in range(3)]
        try:
            assert slow.entered.wait(20)
            assert _post(running, "/chat/completions", _user("x")).status_code == 200
            assert not slow.release.is_set()
            assert not any(answer.done() for answer in asked)
        finally:
            slow.release.set()
        assert [answer.result().status_code for answer in asked] == [200] * 3
    assert slow.most_running == 1


_CALLS: Any = {
    "deepseek-v3.1": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>send<｜tool▁sep｜>{"to": "[SECRET_1]"}'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "deepseek-v3": (
        '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>send\n```json\n{"to": "[SECRET_1]"}\n```'
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
}


@pytest.mark.parametrize("family", _CALLS)
def test_families_that_write_arguments_as_json_get_them_escaped_too(tmp_path: Path, family: Any) -> None:
    _say(_CALLS[family])
    with serve_script(SCRIPT, data_dir=tmp_path, guard=GUARD, prompt_format=family) as running:
        body = _user('secret{"\n\\}', tools=TOOLS)
        [call] = _post(running, "/chat/completions", body).json()["choices"][0]["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"to": 'secret{"\n\\}'}
        streamed = _post(running, "/chat/completions", {**body, "stream": True}).text
    chunks = [json.loads(line[6:]) for line in streamed.split("\n\n") if line.startswith("data: {")]
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls") or ()]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"to": 'secret{"\n\\}'}


@pytest.mark.parametrize("stream", [False, True])
def test_kept_answers_hold_placeholders_and_each_caller_gets_its_own_text(tmp_path: Path, stream: bool) -> None:
    _say("Dear [EMAIL_1]", 3)
    cache = ResponseCacheSettings(use="on", store="directory")
    with serve_script(SCRIPT, data_dir=tmp_path, guard=GUARD, response_cache=cache) as running:
        found = [
            _post(running, "/chat/completions", _user(f"I am {mail}", temperature=0, stream=stream))
            for mail in (MAIL, "bob@example.com")
        ]
        assert len(running.engine.requests) == 1
    assert [answer.headers["x-seekd-cache"] for answer in found] == ["miss", "hit"]
    assert [answer.headers["x-seekd-redacted"] for answer in found] == ["email=1;redact"] * 2
    assert MAIL in found[0].text
    assert "bob@example.com" in found[1].text
    assert MAIL not in found[1].text
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert MAIL.encode() not in file.read_bytes(), file
