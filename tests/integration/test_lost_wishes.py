"""What a client asks for and cannot have is refused or named, and strict readers of answers find what they require."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seekd.testing import ScriptedServer, say, serve_script

HELLO = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "deepseek-chat", "messages": HELLO}
RESPONSES: dict[str, Any] = {"model": "deepseek-chat", "input": "Hello"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/beta/completions": {"model": "deepseek-chat", "prompt": "Hello"},
    "/anthropic/v1/messages": {**CHAT, "max_tokens": 9},
    "/v1/responses": RESPONSES,
}
HOSTED = {"X-Seekd-Dialect": "hosted"}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    folder: Path = tmp_path_factory.mktemp("scripted")
    with serve_script(say("Hello"), data_dir=folder / "data") as server:
        yield server


@pytest.mark.fault("thinking-without-ability")
def test_reasoning_of_a_model_that_has_none_is_named(tmp_path: Path) -> None:
    with serve_script(say("Hello"), data_dir=tmp_path, prompt_format="deepseek-v3") as server:
        asked = httpx.post(f"{server.url}/v1/chat/completions", json={**CHAT, "model": "deepseek-reasoner"})
        plain = httpx.post(f"{server.url}/v1/chat/completions", json=CHAT)
        cards = httpx.get(f"{server.url}/models").json()["data"]
    assert asked.status_code == 200
    assert "does not think" in asked.headers["X-Seekd-Warning"]
    assert "X-Seekd-Warning" not in plain.headers
    assert {card["abilities"]["thinking"] for card in cards} == {"never"}


@pytest.mark.fault("responses-stored-state")
@pytest.mark.parametrize(
    "wish",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"store": True},
        {"background": True},
    ],
    ids=str,
)
def test_state_on_the_server_is_refused_by_name(scripted: ScriptedServer, wish: dict[str, Any]) -> None:
    answer = httpx.post(f"{scripted.url}/v1/responses", json={**RESPONSES, **wish})
    assert answer.status_code == 400
    (name,) = wish
    assert answer.json()["error"]["message"].startswith(f"'{name}'")
    assert "'input'" in answer.json()["error"]["message"]


@pytest.mark.fault("responses-stored-state")
@pytest.mark.parametrize("wish", [{"store": False}, {"previous_response_id": None}, {}], ids=str)
def test_a_client_that_keeps_its_own_history_is_served(scripted: ScriptedServer, wish: dict[str, Any]) -> None:
    answer = httpx.post(f"{scripted.url}/v1/responses", json={**RESPONSES, **wish})
    assert answer.status_code == 200
    assert answer.json()["store"] is False


@pytest.mark.fault("responses-stored-state")
def test_hosted_ignores_such_wishes_as_the_service_does(scripted: ScriptedServer) -> None:
    wishes = {"store": True, "previous_response_id": "resp_1", "conversation": "conv_1", "background": True}
    answer = httpx.post(f"{scripted.url}/v1/responses", json={**RESPONSES, **wishes}, headers=HOSTED)
    assert (answer.status_code, answer.json()["store"]) == (200, False)


@pytest.mark.fault("foreign-fields")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
def test_fields_of_other_servers_are_named(scripted: ScriptedServer, path: str, stream: bool) -> None:
    wishes = {"chat_template_kwargs": {"a": 1}, "continue_final_message": True, "regex": "a+", "ignore_eos": True}
    answer = httpx.post(f"{scripted.url}{path}", json={**BODIES[path], **wishes, "stream": stream})
    assert answer.status_code == 200
    assert answer.headers["x-seekd-warning"] == f"Without effect here: {', '.join(wishes)}"
    assert "x-seekd-warning" not in httpx.post(f"{scripted.url}{path}", json=BODIES[path]).headers


@pytest.mark.fault("fields-that-types-require")
def test_nullable_fields_of_newer_types_are_there_in_classic_only(scripted: ScriptedServer) -> None:
    def post(path: str, headers: dict[str, str] | None = None) -> Any:
        return httpx.post(f"{scripted.url}{path}", json=BODIES[path], headers=headers).json()

    chat, message = post("/v1/chat/completions"), post("/anthropic/v1/messages")
    assert chat["choices"][0]["message"]["refusal"] is None
    assert {message[name] for name in ("container", "diagnostics", "stop_details")} == {None}
    assert {message["usage"][name] for name in ("cache_creation", "inference_geo", "server_tool_use")} == {None}
    assert message["content"][0]["citations"] is None
    assert post("/v1/responses")["text"]["verbosity"] == "medium"

    assert "refusal" not in post("/v1/chat/completions", HOSTED)["choices"][0]["message"]
    assert "container" not in post("/anthropic/v1/messages", HOSTED)
    assert post("/v1/responses", HOSTED)["text"]["verbosity"] is None


@pytest.mark.fault("fields-that-types-require")
def test_streams_have_them_too(scripted: ScriptedServer) -> None:
    def events(path: str) -> list[Any]:
        text = httpx.post(f"{scripted.url}{path}", json={**BODIES[path], "stream": True}).text
        return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]

    messages = {event["type"]: event for event in events("/anthropic/v1/messages")}
    assert messages["message_start"]["message"]["usage"]["cache_creation"] is None
    assert messages["content_block_start"]["content_block"]["citations"] is None
    assert messages["message_delta"]["delta"]["stop_details"] is None
    responses = [event["response"] for event in events("/v1/responses") if "response" in event]
    assert len(responses) == 3
    assert {response["text"]["verbosity"] for response in responses} == {"medium"}
