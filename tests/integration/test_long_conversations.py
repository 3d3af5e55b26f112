"""Long conversations over real HTTP: a scripted engine shows what is said, the bundled model what is computed."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import anthropic
import httpx
import openai
import pytest

from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.api.settings import ServerSettings
from seekd.engine.scripted import Delay, EmitText, Fail, Script, ScriptStep
from seekd.engine.types import EngineRequest
from seekd.errors import EngineError
from seekd.guard.settings import GuardSettings
from seekd.models.settings import FormatName
from seekd.service.response_cache.settings import ResponseCacheSettings
from seekd.service.settings import ContextSettings
from seekd.testing import serve_script
from seekd.testing.server import ScriptedServer
from tests.integration.conftest import StartServer
from tests.integration.test_accounts_http import Shell

QUESTION = "Sum it up."
CONTEXT = ContextSettings(summary_prompt=QUESTION)


def read(request: EngineRequest) -> str:
    return bytes(token for token in request.prompt_token_ids if token < 256).decode()


def is_summary(request: EngineRequest) -> bool:
    return QUESTION in read(request)


def repeat_facts(request: EngineRequest) -> Iterable[ScriptStep]:
    if not is_summary(request):
        return [EmitText(text="ok")]
    return [EmitText(text=" " + " ".join(dict.fromkeys(re.findall(r"FACT\d+", read(request)))))]


def turns(num_turns: int, *, num_chars: int = 100) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for index in range(num_turns):
        messages.append({"role": "user", "content": f"FACT{index} {'x' * num_chars}"})
        messages.append({"role": "assistant", "content": "ok"})
    return messages[:-1]


Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with contextlib.ExitStack() as running:

        def start(script: Script = repeat_facts, **options: Any) -> ScriptedServer:
            options = {"context": CONTEXT, "context_length": 2000, "data_dir": tmp_path / "data", **options}
            return running.enter_context(serve_script(script, **options))

        yield start


def ask(
    server: ScriptedServer, messages: list[dict[str, Any]], choice: str | None = None, **fields: Any
) -> httpx.Response:
    headers = {} if choice is None else {"X-Seekd-Context": choice}
    headers |= fields.pop("headers", {})
    body = {"model": "deepseek-chat", "messages": messages, **fields}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60)


def test_by_default_nothing_is_shortened_and_nothing_is_said(serve: Serve) -> None:
    server = serve()
    fits = ask(server, turns(3))
    assert fits.status_code == 200
    assert "x-seekd-context" not in fits.headers
    refused = ask(server, turns(30))
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"


def test_a_request_chooses_and_is_told_what_was_done(serve: Serve) -> None:
    server = serve()
    assert ask(server, turns(3), "drop").headers["x-seekd-context"] == "whole"
    dropped = ask(server, turns(14), "drop")
    said = dropped.json()["usage"]["seekd_context"]
    assert said["action"] == "dropped"
    assert dropped.headers["x-seekd-context"] == f"dropped; turns={said['turns']}; messages={said['messages']}"
    assert ask(server, turns(30), "refuse").status_code == 400
    summarised = ask(server, turns(14), "summarize")
    said = summarised.json()["usage"]["seekd_context"]
    expected = f"summarised; turns={said['turns']}; messages={said['messages']}; summaries=1"
    assert summarised.headers["x-seekd-context"] == expected
    unknown = ask(server, turns(3), "forget")
    assert unknown.status_code == 400
    assert "refuse, drop, summarise" in unknown.json()["error"]["message"]


@pytest.mark.parametrize(
    "prompt_format", [name for name in get_args(FormatName) if name not in ("completion", "template")]
)
def test_facts_of_old_turns_reach_every_family(serve: Serve, prompt_format: FormatName) -> None:
    server = serve(prompt_format=prompt_format, long_conversations="summarise", context_length=3000)
    for num_turns in (20, 21, 30):
        answer = ask(server, turns(num_turns))
        assert answer.status_code == 200, answer.text
        prompt = read(server.engine.requests[-1])
        assert [index for index in range(num_turns) if f"FACT{index}" not in prompt] == []
        message = answer.json()["choices"][0]["message"]
        assert message["content"] or message["reasoning_content"] == "ok"  # what R1 writes first is reasoning


def test_where_a_limit_is_not_lowered_its_whole_room_is_made(serve: Serve) -> None:
    server = serve()
    hosted = {"X-Seekd-Dialect": "hosted"}
    assert ask(server, turns(14), max_tokens=1500, headers=hosted).status_code == 400
    answer = ask(server, turns(14), "drop", max_tokens=1500, headers=hosted)
    assert answer.headers["x-seekd-context"].startswith("dropped")
    assert server.engine.requests[-1].max_tokens == 1500
    assert ask(server, turns(14), "drop", max_tokens=1900, headers=hosted).status_code == 400


def test_messages_and_responses_are_shortened_too(serve: Serve) -> None:
    server = serve(long_conversations="summarise")
    with anthropic.Anthropic(api_key="k", base_url=f"{server.url}/anthropic", max_retries=0) as client:
        messages: Any = turns(18)
        whole = client.messages.create(model="deepseek-chat", max_tokens=50, messages=messages)
        assert whole.model_dump()["usage"]["seekd_context"]["action"] == "summarised"
        with client.messages.stream(model="deepseek-chat", max_tokens=50, messages=messages) as stream:
            final = stream.get_final_message()
        assert final.model_dump()["usage"]["seekd_context"]["action"] == "summarised"
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as openai_client:
        answer = openai_client.responses.create(model="deepseek-chat", max_output_tokens=50, input=messages)
        assert answer.output_text == "ok"
        assert answer.usage is not None
        assert answer.usage.model_dump()["seekd_context"]["action"] == "summarised"
    assert sum(map(is_summary, server.engine.requests)) == 1  # of one history, whatever the protocol
    assert "FACT0" in read(server.engine.requests[-1])


def test_a_stream_is_kept_alive_while_a_summary_is_made_and_its_usage_says_the_rest(serve: Serve) -> None:
    def slow(request: EngineRequest) -> Iterable[ScriptStep]:
        return [EmitText(text=" FACT0"), Delay(delay_s=0.5)] if is_summary(request) else [EmitText(text="ok")]

    server = serve(slow, long_conversations="summarise", server=ServerSettings(keep_alive_s=0.1))
    answer = ask(server, turns(14), stream=True, stream_options={"include_usage": True})
    assert answer.status_code == 200
    assert answer.headers["x-seekd-context"] == "summarising"
    assert answer.text.startswith(": keep-alive")
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert chunks[-1]["usage"]["seekd_context"]["summaries"] == 1
    assert answer.text.rstrip().endswith("data: [DONE]")
    again = ask(server, turns(14), stream=True)
    assert again.headers["x-seekd-context"].endswith("summaries=0")
    assert not again.text.startswith(":")


def test_a_summary_that_fails_is_an_error_with_a_status(serve: Serve) -> None:
    server = serve(lambda _: [Fail(error=EngineError("it died"))], long_conversations="summarise")
    for stream in (False, True):
        answer = ask(server, turns(14), stream=stream)
        assert answer.status_code == 500
        assert "could not be summarised: it died" in answer.json()["error"]["message"]


def test_a_client_that_leaves_ends_its_summary(serve: Serve) -> None:
    server = serve(lambda _: [EmitText(text=" a"), Delay(delay_s=60)], long_conversations="summarise")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/v1/chat/completions",
            json={"model": "deepseek-chat", "messages": turns(14)},
            timeout=1,
        )
    end_s = time.monotonic() + 20
    while not server.engine.aborted_request_ids and time.monotonic() < end_s:
        time.sleep(0.02)
    assert server.engine.aborted_request_ids == [server.engine.requests[0].request_id]


PRICED = AccountsSettings(
    prices=(PriceSetting(model="deepseek-chat", currency="USD", hit="0", miss="0", output="100000"),),
    synchronous="normal",
)
"""One completion token costs 0.10 USD; prompts are free."""


def test_a_summary_is_held_charged_and_shown_as_a_request_of_its_own(serve: Serve, tmp_path: Path) -> None:
    server = serve(
        accounts=PRICED,
        long_conversations="summarise",
        context=ContextSettings(summary_prompt=QUESTION, summary_tokens=100),
    )
    shell = Shell(tmp_path / "data")
    account_id, key = shell.new_key()
    headers = {"Authorization": f"Bearer {key}"}

    def balance() -> float:
        found = httpx.get(f"{server.url}/user/balance", headers=headers).json()["balance_infos"][0]["total_balance"]
        return float(found)

    shell.run("accounts", "top-up", account_id, "5", "--currency", "USD")
    poor = ask(server, turns(18), headers=headers, max_tokens=5)
    assert poor.status_code == 402  # a summary may cost 10
    assert not server.engine.requests
    shell.run("accounts", "top-up", account_id, "95", "--currency", "USD")
    answer = ask(server, turns(18), headers=headers, max_tokens=5)
    usage = answer.json()["usage"]
    num_tokens = usage["completion_tokens"] + usage["seekd_context"]["summary_completion_tokens"]
    assert balance() == pytest.approx(100 - num_tokens / 10)
    before = balance()
    again = ask(server, turns(18), headers=headers, max_tokens=5)
    assert balance() == pytest.approx(before - again.json()["usage"]["completion_tokens"] / 10)
    [row] = httpx.get(f"{server.url}/user/usage", headers=headers).json()
    assert row["num_requests"] == 3  # two answers and one summary


def test_a_retry_that_wants_something_else_is_a_conflict(serve: Serve) -> None:
    server = serve()
    key = {"Idempotency-Key": "one"}
    first = ask(server, turns(14), "summarise", headers=key)
    assert first.json()["usage"]["seekd_context"]["summaries"] == 1
    assert ask(server, turns(14), "summarise", headers=key).text == first.text
    assert ask(server, turns(14), "drop", headers=key).status_code == 409


def test_summaries_hold_placeholders_where_data_is_redacted_and_answers_the_data(serve: Serve) -> None:
    def script(request: EngineRequest) -> Iterable[ScriptStep]:
        [placeholder] = set(re.findall(r"\[EMAIL_\d\]", read(request)))
        return [EmitText(text=f" {placeholder}")]

    server = serve(script, long_conversations="summarise", guard=GuardSettings(redact=("email",)))
    for num_turns in (14, 15):
        messages = turns(num_turns)
        messages[0]["content"] = f"Write to ann@example.com. {messages[0]['content']}"
        answer = ask(server, messages)
        assert answer.headers["x-seekd-context"].startswith("summarised")
        assert "ann@example.com" in answer.json()["choices"][0]["message"]["content"]
        assert not any("ann@" in read(request) for request in server.engine.requests)
        assert "Write to" not in read(server.engine.requests[-1])


def test_a_repeat_is_answered_from_the_response_cache_and_still_says_what_was_done(serve: Serve) -> None:
    server = serve(long_conversations="summarise", response_cache=ResponseCacheSettings(use="on"))
    first, again = (ask(server, turns(14), temperature=0) for _ in range(2))
    assert (first.headers["x-seekd-cache"], again.headers["x-seekd-cache"]) == ("miss", "hit")
    assert again.headers["x-seekd-context"].startswith("summarised")
    assert again.json()["usage"]["seekd_context"]["summaries"] == 0
    assert len(server.engine.requests) == 2


STORY = "Tom has a red ball. He likes to play with it in the big park near the old house every day."


def test_the_bundled_model_computes_only_what_is_new_after_a_cut(start_server: StartServer) -> None:
    server = start_server(
        SEEKD_MODEL_LONG_CONVERSATIONS="summarise",
        SEEKD_ENGINE_CONTEXT_LENGTH="768",
        SEEKD_CONTEXT_SUMMARY_TOKENS="24",
    ).wait_until_ready()
    messages: list[dict[str, Any]] = []
    usages: list[dict[str, Any]] = []
    for _ in range(22):
        messages.append({"role": "user", "content": f"{STORY} {STORY}"})
        body = {"model": "deepseek-chat", "messages": messages, "max_tokens": 8, "temperature": 0}
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        usages.append(answer.json()["usage"])
        messages.append({"role": "assistant", "content": answer.json()["choices"][0]["message"]["content"]})
    actions = [usage.get("seekd_context", {}).get("summaries") for usage in usages]
    assert actions.count(1) >= 2
    cuts = [index for index, num_summaries in enumerate(actions) if num_summaries]
    for cut in cuts:
        said = usages[cut]["seekd_context"]
        # The turns that are summarised were computed for their own answers, and only the question is new.
        num_new = said["summary_prompt_tokens"] - said["summary_prompt_cache_hit_tokens"]
        assert num_new < said["summary_prompt_tokens"] / 2, said
    for index in range(1, len(usages)):
        if index not in cuts:
            num_new = usages[index]["prompt_tokens"] - usages[index]["prompt_cache_hit_tokens"]
            grown = usages[index]["prompt_tokens"] - usages[index - 1]["prompt_tokens"]
            assert num_new <= grown + 2 * 64, (index, usages[index])
