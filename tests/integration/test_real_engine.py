"""A real server with a real model: what its engine process must live through, and what each parameter does."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.integration.conftest import ServerProcess, StartServer

STORY: dict[str, Any] = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Tell me a story"}]}


def _children(process_id: int) -> list[int]:
    children = Path(f"/proc/{process_id}/task/{process_id}/children")
    if children.exists():
        return [int(child) for child in children.read_text().split()]
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        fields = status.read_text().rpartition(")")[2].split()
        if int(fields[1]) == process_id:
            found.append(int(status.parent.name))
    return found


def _ask(url: str, **fields: Any) -> dict[str, Any]:
    response = httpx.post(f"{url}/v1/chat/completions", json={**STORY, **fields}, timeout=60)
    assert response.status_code == 200, response.text
    return dict(response.json())


def _text(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


@pytest.mark.fault("engine-killed")
def test_a_killed_engine_gives_its_requests_an_error_and_the_next_request_works(start_server: StartServer) -> None:
    server = start_server()
    server.wait_until_ready()
    [engine] = _children(server.process.pid)
    frames: list[str] = []
    with httpx.stream(
        "POST",
        f"{server.url}/v1/chat/completions",
        json={**STORY, "stream": True, "max_tokens": 4000, "temperature": 1.9, "stop": ["\x00never"]},
        timeout=60,
    ) as response:
        lines = (line for line in response.iter_lines() if line)
        frames.append(next(lines))
        os.kill(engine, signal.SIGKILL)
        frames += lines
    last = json.loads(frames[-1].removeprefix("data: "))
    assert "error" in last or frames[-1] == "data: [DONE]"  # it may have ended just before the kill
    assert _text(_ask(server.url, max_tokens=8))
    assert _children(server.process.pid) != [engine]


def test_health_is_503_while_the_engine_is_away(start_server: StartServer) -> None:
    server = start_server()
    server.wait_until_ready()
    [engine] = _children(server.process.pid)
    os.kill(engine, signal.SIGSTOP)  # it can neither answer nor be replaced until the supervisor sees it die
    os.kill(engine, signal.SIGKILL)
    seen = set()
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        response = httpx.get(f"{server.url}/healthz")
        seen.add(response.status_code)
        if response.status_code == 503:
            assert response.json()["reason"]
        elif 503 in seen:
            break
        time.sleep(0.005)
    assert seen == {200, 503}


def test_the_engine_process_dies_with_its_server(start_server: StartServer) -> None:
    server = start_server()
    server.wait_until_ready()
    [engine] = _children(server.process.pid)
    server.process.kill()
    deadline_s = time.monotonic() + 20
    while Path(f"/proc/{engine}").exists() and time.monotonic() < deadline_s:
        state = Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{engine}").exists()


def test_a_client_that_leaves_frees_the_engine(server: ServerProcess) -> None:
    body = {**STORY, "stream": True, "max_tokens": 4000, "temperature": 1.9}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
        next(response.iter_lines())
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        if 'seekd_num_requests_running{model="default"} 0.0' in httpx.get(f"{server.url}/metrics").text:
            return
        time.sleep(0.1)
    raise AssertionError("the sequence still runs")


def test_the_first_token_is_streamed_before_the_last_is_made(server: ServerProcess) -> None:
    body = {**STORY, "stream": True, "temperature": 0, "max_tokens": 100}
    arrivals = []
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
        arrivals = [time.monotonic() for chunk in response.iter_raw() if b"content" in chunk]
    assert len(arrivals) > 10


@pytest.fixture(scope="module")
def baseline(server: ServerProcess) -> str:
    return _text(_ask(server.url, temperature=1.5, seed=1, max_tokens=60))


def test_a_seed_repeats_an_answer(server: ServerProcess, baseline: str) -> None:
    assert _text(_ask(server.url, temperature=1.5, seed=1, max_tokens=60)) == baseline


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0},
        {"temperature": 2},
        {"top_p": 0.01},
        {"seed": 2},
        {"frequency_penalty": 2},
        {"presence_penalty": 2},
        {"max_tokens": 5},
        {"stop": ["e"]},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-reasoner"])
def test_each_parameter_changes_the_output(server: ServerProcess, model: str, change: dict[str, Any]) -> None:
    common = {"model": model, "temperature": 1.5, "seed": 1, "max_tokens": 160}
    before, after = (_ask(server.url, **{**common, **fields})["choices"][0]["message"] for fields in ({}, change))
    assert before != after


def test_logprobs_are_probabilities_of_the_model_and_the_chosen_token_is_among_them(client: openai.OpenAI) -> None:
    response = client.chat.completions.create(
        model="deepseek-chat",
        messages=[{"role": "user", "content": "Hello!"}],
        temperature=0,
        max_tokens=12,
        logprobs=True,
        top_logprobs=5,
    )
    [choice] = response.choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert response.usage is not None
    assert len(choice.logprobs.content) == response.usage.completion_tokens
    for entry in choice.logprobs.content:
        values = [alternative.logprob for alternative in entry.top_logprobs]
        assert len(values) == 5
        assert values == sorted(values, reverse=True)
        assert entry.logprob == values[0] <= 0  # greedy takes the most likely
    text = b"".join(bytes(entry.bytes or ()) for entry in choice.logprobs.content).decode()
    assert text == choice.message.content


def test_many_clients_at_once_are_all_answered(server: ServerProcess) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(_text(_ask(server.url, seed=n, max_tokens=20))))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == 12
    assert all(answers)


def test_a_prompt_that_was_seen_is_not_computed_again(server: ServerProcess) -> None:
    long = {"messages": [{"role": "user", "content": "Tell me about " + "cats and dogs and birds " * 40}]}
    first = _ask(server.url, max_tokens=4, **long)["usage"]
    again = _ask(server.url, max_tokens=4, **long)["usage"]
    assert first["prompt_cache_hit_tokens"] + first["prompt_cache_miss_tokens"] == first["prompt_tokens"]
    assert again["prompt_cache_hit_tokens"] == again["prompt_tokens"] - 1


def test_hosted_tells_hits_in_units_of_the_service(server: ServerProcess) -> None:
    body = {
        "model": "deepseek-v4-flash",
        "max_tokens": 4,
        "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "Tell me about " + "fish and frogs and toads " * 40}],
    }
    hits = []
    for _ in range(2):
        answer = httpx.post(
            f"{server.url}/chat/completions", json=body, headers={"X-Seekd-Dialect": "hosted"}, timeout=60
        )
        usage = answer.json()["usage"]
        assert usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"] == usage["prompt_tokens"]
        hits.append(usage["prompt_cache_hit_tokens"])
    assert hits == [0, (usage["prompt_tokens"] - 1) // 128 * 128]
    assert hits[1]


def test_an_admin_can_ask_why_a_prompt_was_computed(server: ServerProcess) -> None:
    data_dir = Path(server.arguments[server.arguments.index("--data-dir") + 1])
    headers = {"Authorization": f"Bearer {(data_dir / 'admin-token').read_text().strip()}"}
    long = {**STORY, "messages": [{"role": "user", "content": "Tell me of " + "ships and seas and sails " * 40}]}
    used = []
    for _ in range(2):
        answer = httpx.post(f"{server.url}/v1/chat/completions", json={**long, "max_tokens": 4}, timeout=60)
        request_id = answer.headers["x-request-id"]
        view = httpx.get(f"{server.url}/admin/requests/{request_id}/cache", headers=headers).json()
        assert view["num_used_tokens"] == answer.json()["usage"]["prompt_cache_hit_tokens"]
        used.append(view)
    assert used[0]["reason"] == "unknown"
    assert used[1]["num_used_tokens"] > used[0]["num_used_tokens"]
