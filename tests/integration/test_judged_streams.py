"""Streams as they cross the network, in all three formats, judged from their bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from seekd.testing.messages_check import check_failed_messages_stream, check_messages_stream
from seekd.testing.responses_check import check_failed_responses_stream, check_responses_stream
from seekd.testing.stream_check import check_chat_stream, check_failed_chat_stream
from tests.clients.checks import FORECAST, GREETING, PARAMETERS, REASONING, WEATHER
from tests.clients.stage import Stage, open_stage

CHAT_TOOLS = [{"type": "function", "function": WEATHER}]
MESSAGES_TOOLS = [{"name": "get_weather", "input_schema": PARAMETERS}]
RESPONSES_TOOLS = [{"type": "function", **WEATHER}]
CALL = ("get_weather", '{"location": "New York"}')


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("stage")) as running:
        yield running


def _stream(stage: Stage, path: str, dialect: str, **body: Any) -> bytes:
    headers = {"Authorization": f"Bearer {stage.key}", "X-Seekd-Dialect": dialect}
    response = httpx.post(f"{stage.server.url}{path}", json={**body, "stream": True}, headers=headers, timeout=60)
    assert response.status_code == 200, response.text
    return response.content


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("dialect", ["classic", "hosted"])
@pytest.mark.parametrize(("model", "reasoning"), [("deepseek-chat", ""), ("deepseek-reasoner", REASONING)])
class TestEachFormat:
    def test_chat(self, stage: Stage, dialect: str, model: str, reasoning: str) -> None:
        path = "/v1/chat/completions"
        said = check_chat_stream(_stream(stage, path, dialect, model=model, messages=_user("Hello!")))
        assert (said.reasoning, said.content, said.finish_reason) == (reasoning, GREETING, "stop")
        body = {"model": model, "messages": _user("The weather?"), "tools": CHAT_TOOLS}
        called = check_chat_stream(_stream(stage, path, dialect, **body, stream_options={"include_usage": True}))
        assert called.reasoning == reasoning
        assert [(call["name"], call["arguments"]) for call in called.tool_calls] == [CALL]
        cut = check_chat_stream(_stream(stage, path, dialect, **body, max_tokens=30))
        assert cut.finish_reason == "length"

    def test_messages(self, stage: Stage, dialect: str, model: str, reasoning: str) -> None:
        path = "/anthropic/v1/messages"
        body: dict[str, Any] = {"model": model, "max_tokens": 4000}
        said = check_messages_stream(_stream(stage, path, dialect, **body, messages=_user("Hello!")))
        assert (said.thinking, said.text, said.stop_reason) == (reasoning, GREETING, "end_turn")
        body |= {"messages": _user("The weather?"), "tools": MESSAGES_TOOLS}
        called = check_messages_stream(_stream(stage, path, dialect, **body))
        assert called.thinking == reasoning
        assert [(call["name"], call["input"]) for call in called.tool_uses] == [(CALL[0], {"location": "New York"})]
        cut = check_messages_stream(_stream(stage, path, dialect, **{**body, "max_tokens": 30}))
        assert cut.stop_reason == "max_tokens"

    def test_responses(self, stage: Stage, dialect: str, model: str, reasoning: str) -> None:
        path = "/v1/responses"
        said = check_responses_stream(_stream(stage, path, dialect, model=model, input="Hello!"))
        assert (said.reasoning, said.text, said.status) == (reasoning, GREETING, "completed")
        body = {"model": model, "input": "The weather?", "tools": RESPONSES_TOOLS}
        called = check_responses_stream(_stream(stage, path, dialect, **body))
        assert called.reasoning == reasoning
        assert [(call["name"], call["arguments"]) for call in called.function_calls] == [CALL]
        cut = check_responses_stream(_stream(stage, path, dialect, **body, max_output_tokens=30))
        assert cut.status == "incomplete"


@pytest.mark.parametrize("dialect", ["classic", "hosted"])
def test_a_failure_ends_each_format_in_its_own_way(stage: Stage, dialect: str) -> None:
    body: dict[str, Any] = {"model": "deepseek-chat"}
    asked = _user("fail later")
    chat = check_failed_chat_stream(_stream(stage, "/v1/chat/completions", dialect, **body, messages=asked))
    assert chat.content == "Hel"
    path = "/anthropic/v1/messages"
    messages = check_failed_messages_stream(_stream(stage, path, dialect, **body, max_tokens=99, messages=asked))
    assert messages.error is not None
    responses = check_failed_responses_stream(_stream(stage, "/responses", dialect, **body, input="fail later"))
    assert responses.error is not None


@pytest.mark.parametrize("choice", ["auto", {"name": "get_weather"}])
def test_a_legacy_call_is_a_good_stream_too(stage: Stage, choice: object) -> None:
    body = {
        "model": "deepseek-chat",
        "messages": _user("The weather?"),
        "functions": [WEATHER],
        "function_call": choice,
    }
    called = check_chat_stream(_stream(stage, "/v1/chat/completions", "classic", **body))
    assert called.function_call == {"name": CALL[0], "arguments": CALL[1]}
    assert called.finish_reason == "function_call"
    result = {"role": "function", "name": "get_weather", "content": "sunny"}
    assistant = {"role": "assistant", "content": None, "function_call": called.function_call}
    body |= {"messages": [*_user("The weather?"), assistant, result], "function_call": "auto"}
    assert check_chat_stream(_stream(stage, "/v1/chat/completions", "classic", **body)).content == FORECAST
