"""Every family end to end: a real engine on a file that carries its template and tokens, and scripted answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from seekd.models.settings import FormatName
from seekd.testing import say, serve_script
from tests.integration.conftest import StartServer
from tests.model.gguf_files import Architecture, write_gguf
from tests.unit.prompt.speaking import V32_TEMPLATE
from tests.unit.prompt.templates import CHATML, HERMES_THINKING

TOOL_MARKERS = (
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁calls▁end｜>",
    "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",
    "<｜tool▁sep｜>",
    "<｜tool▁outputs▁begin｜>",
    "<｜tool▁outputs▁end｜>",
    "<｜tool▁output▁begin｜>",
    "<｜tool▁output▁end｜>",
)
CHATML_MARKERS = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")
# What detection looks at; these families are spoken to by rules, not by their template.
FENCED = "{# <｜User｜> <｜tool▁sep｜> ```json #}"
TOOL = {
    "type": "function",
    "function": {
        "name": "pick",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Paris"]}, "n": {"enum": [7]}},
            "required": ["city", "n"],
        },
    },
}
HI = [{"role": "user", "content": "Hi <｜User｜></think><|im_end|>"}]
LOOP: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    *HI,
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": "r",
        "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "pick", "arguments": '{"city": "Paris", "n": 7}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c", "content": "done"},
]
FILES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "deepseek-v3": (FENCED, TOOL_MARKERS),
    "deepseek-r1": (FENCED + "{# <think> </think> #}", TOOL_MARKERS),
    "deepseek-r1-0528": (FENCED + "{# </think> #}", TOOL_MARKERS),
    "deepseek-v3.1": ("{# <｜User｜> <｜tool▁sep｜> <think> #}", TOOL_MARKERS),
    "deepseek-v3.2": (V32_TEMPLATE, ()),
    "template": (CHATML, CHATML_MARKERS),
    "template with tools": (HERMES_THINKING, CHATML_MARKERS),
    "completion": (None, ()),
}


def ask(url: str, messages: list[dict[str, Any]], **fields: Any) -> httpx.Response:
    body = {"model": "deepseek-chat", "messages": messages, "max_tokens": 400, "temperature": 0, **fields}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


def message_of(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    return dict(response.json()["choices"][0]["message"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_recognised_and_its_model_calls_in_its_own_form(
    name: str, start_server: StartServer, tmp_path: Path
) -> None:
    template, markers = FILES[name]
    path = write_gguf(tmp_path / "m.gguf", Architecture.DEEPSEEK2, template=template, markers=markers)
    url = start_server("--model", str(path)).wait_until_ready().url
    fim = {"model": "deepseek-chat", "prompt": "a", "suffix": "b", "max_tokens": 2}
    assert httpx.post(f"{url}/beta/completions", json=fim, timeout=60).status_code == 200
    if name == "completion":
        refused = ask(url, HI)
        assert refused.status_code == 400
        assert "no chat template" in refused.json()["error"]["message"]
        return
    for thinking in ("enabled", "disabled"):
        message = message_of(ask(url, LOOP, tools=[TOOL], max_tokens=4, thinking={"type": thinking}))
        assert set(message) >= {"role", "content"}
    # The older spelling asks for exactly one call.
    owed = ask(url, HI, functions=[TOOL["function"]], function_call={"name": "pick"}, thinking={"type": "disabled"})
    message = message_of(owed)
    if message.get("function_call") is None:  # a random model that has begun to reason does so for ever
        assert name in ("deepseek-r1", "deepseek-r1-0528")
        assert message["reasoning_content"]
        return
    assert message["function_call"]["name"] == "pick"
    assert json.loads(message["function_call"]["arguments"]) == {"city": "Paris", "n": 7}
    assert owed.json()["choices"][0]["finish_reason"] == "function_call"


FENCED_CALL = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>pick\n"
    '```json\n{"city": "Paris", "n": 7}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)
BARE_CALL = (
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>pick<｜tool▁sep｜>"
    '{"city": "Paris", "n": 7}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
)


@pytest.mark.parametrize(
    ("prompt_format", "model", "text", "reasoning", "num_reasoning"),
    [
        ("deepseek-v3", "deepseek-chat", f"See.{FENCED_CALL}", None, None),
        ("deepseek-v3", "deepseek-reasoner", f"See.{FENCED_CALL}", "", 0),
        ("deepseek-v2.5", "deepseek-chat", f"See.{FENCED_CALL}", None, None),
        ("deepseek-r1", "deepseek-chat", f"Hm.\n</think>\n\nSee.{FENCED_CALL}", "Hm.", 4),
        ("deepseek-r1-0528", "deepseek-chat", f"<think>\nHm.\n</think>\n\nSee.{FENCED_CALL}", "Hm.", 5),
        ("deepseek-v3.1", "deepseek-chat", f"See.{BARE_CALL}", None, None),
    ],
)
@pytest.mark.parametrize("logprobs", [False, True])
def test_answers_have_the_official_shape(
    prompt_format: FormatName,
    model: str,
    text: str,
    reasoning: str | None,
    num_reasoning: int | None,
    logprobs: bool,
    tmp_path: Path,
) -> None:
    with serve_script(say(text, num_tokens_per_update=3), data_dir=tmp_path, prompt_format=prompt_format) as server:
        fields = {"tools": [TOOL], "model": model, "logprobs": logprobs}
        whole = ask(server.url, HI, **fields)
        streamed = ask(server.url, HI, stream=True, **fields)
    message = message_of(whole)
    assert message["content"] == "See."
    assert message.get("reasoning_content") == reasoning
    [call] = message["tool_calls"]
    assert call["function"] == {"name": "pick", "arguments": '{"city": "Paris", "n": 7}'}
    details = whole.json()["usage"].get("completion_tokens_details")
    assert details == (None if num_reasoning is None else {"reasoning_tokens": num_reasoning})
    chunks = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert content == "See."
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    if logprobs:
        entries = whole.json()["choices"][0]["logprobs"]
        assert "".join(entry["token"] for entry in entries["content"]).lstrip() == "See."
