"""Record a real exchange through the proxy, and replay it without the service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from seekd.api.server import http_server
from seekd.api.settings import ServerSettings
from seekd.testing import Kit, open_kit, tool_call
from seekd.testing.recorder import Recorder
from tests.integration.conftest import StartServer
from tests.integration.test_kit_http import WEATHER, chat, client_of, said, stream

MAIL = "ann.smith@example.com"
KEY = "my-very-own-key-00001"


@contextlib.contextmanager
def recording(base_url: str, folder: Path) -> Iterator[str]:
    """The address of a recorder in a thread of its own."""
    recorder = Recorder(base_url=base_url, folder=folder, rules=("email",))
    server = http_server(recorder, ServerSettings())
    server.config.port = 0
    has_started = threading.Event()

    async def serve() -> None:
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        has_started.set()
        await serving
        await recorder.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert has_started.wait(30)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


def files(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())]


def recorded_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, timeout=10)


def test_what_was_recorded_is_replayed_without_the_service(seekd: Kit, tmp_path: Path) -> None:
    seekd.on(text="call").reply(tool_call("get_weather", city="Paris"))
    seekd.on(text="limit").fail("rate-limit", retry_after_s=3)
    seekd.reply(f"Grüße an {MAIL}, also to {MAIL}.", reasoning="Hm.")
    with recording(seekd.base_url, tmp_path) as url, recorded_client(url) as client:
        live = [chunk.model_dump() for chunk in stream(client, f"I am {MAIL}")]
        whole = chat(client, "Hi").choices[0].message.content
        chat(client, "call", tools=[WEATHER])
        with pytest.raises(openai.RateLimitError):
            chat(client, "limit")
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in live) == whole
    assert not any(word in text for text in files(tmp_path) for word in (KEY, MAIL, "authorization"))
    assert len(files(tmp_path)) == 4

    with open_kit(cassette=tmp_path) as player, client_of(player) as client:
        texts = [chunk.choices[0].delta.content or "" for chunk in stream(client, "I am bob@example.com")]
        assert "".join(texts) == "Grüße an [EMAIL_1], also to [EMAIL_1]."
        assert len(texts) == len(live)
        assert chat(client, "Hi").choices[0].message.content == "Grüße an [EMAIL_1], also to [EMAIL_1]."
        calls = chat(client, "call", tools=[WEATHER]).choices[0].message.tool_calls
        assert calls is not None
        with pytest.raises(openai.RateLimitError) as raised:
            chat(client, "limit")
        assert raised.value.response.headers["retry-after"] == "3"
        player.assert_called_with(text="limit")
        player.verify()
        with pytest.raises(openai.BadRequestError, match=r"no recording of this request. The nearest is 000"):
            chat(client, "Hi there")
        with pytest.raises(AssertionError, match="no recording"):
            player.verify()
        player.on(text="new").reply("by rule")
        assert chat(client, "new").choices[0].message.content == "by rule"
        player.on(text="Hi").fail("overloaded")
        with pytest.raises(openai.InternalServerError):
            chat(client, "Hi")


def test_a_stream_that_the_service_cuts_is_cut_again(seekd: Kit, tmp_path: Path) -> None:
    seekd.fail("close", after=2)
    with recording(seekd.base_url, tmp_path) as url, recorded_client(url) as client, pytest.raises(openai.APIError):
        stream(client)
    with open_kit(cassette=tmp_path) as player, client_of(player) as client, pytest.raises(openai.APIError):
        stream(client)
    [text] = files(tmp_path)
    assert json.loads(text)["response"]["is_whole"] is False


def test_a_service_that_is_not_there_is_a_502_and_leaves_nothing(tmp_path: Path) -> None:
    with recording("http://127.0.0.1:9", tmp_path) as url:
        answer = httpx.post(f"{url}/v1/chat/completions", json={"messages": said("Hi")})
    assert answer.status_code == 502
    assert "recorded service does not answer" in answer.json()["error"]["message"]
    assert files(tmp_path) == []


def test_the_commands_record_and_replay(seekd: Kit, tmp_path: Path, start_server: StartServer) -> None:
    seekd.reply("Hello")
    cassette = tmp_path / "cassette"
    command = ["record", "--to", str(cassette), "--base-url", seekd.base_url, "--redact", "email", "--port", "0"]
    process = subprocess.Popen([sys.executable, "-m", "seekd", *command], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "seekd records" in line)
        found = re.search(r"at (http://\S+),", line)
        assert found
        with recorded_client(found[1]) as client:
            assert chat(client).choices[0].message.content == "Hello"
            assert client.models.list().data  # passed on, not kept
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0
    with open_kit(cassette=cassette, matching="strict") as player, client_of(player) as client:
        assert chat(client).choices[0].message.content == "Hello"
    assert len(files(cassette)) == 1


def test_the_replay_command_refuses_an_empty_cassette(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seekd", "replay", "--from", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "holds no recording" in done.stderr) == (1, True)
