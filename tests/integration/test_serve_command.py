"""`seekd serve` as a user meets it: one ready line, clean stops, and mistakes told in one sentence."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from seekd.models.locate import find_model_file
from tests.integration.conftest import ServerProcess, StartServer


def _fails(server: ServerProcess) -> str:
    """The terminal of a server that must not start; waits for its end."""
    assert server.process.wait(60) not in (0, None)
    server.stop()
    text = "\n".join(server.lines)
    assert "Traceback" not in text
    return text


def test_the_ready_line_has_the_url_the_model_and_a_curl_line_that_works(start_server: StartServer) -> None:
    server = start_server()
    line = server.wait_for_line("seekd is ready")
    server.wait_until_ready()
    assert "demonstration model" in line
    assert f"playground: {server.url}/;" in line
    assert f"curl {server.url}/v1/chat/completions" in line
    body = line.partition("-d '")[2].rpartition("'")[0]
    response = httpx.post(
        f"{server.url}/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}, timeout=60
    )
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"]


def test_the_browser_is_opened_once_the_playground_would_answer(start_server: StartServer, tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new && mv {opened}.new {opened}\n')
    browser.chmod(0o755)
    server = start_server("--open", BROWSER=f"{browser} %s")
    server.wait_until_ready()
    deadline = time.monotonic() + 30
    while not opened.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert opened.read_text() == f"{server.url}/"


def test_the_ready_line_leads_to_an_answer_where_requests_cost_money(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(SEEKD_ACCOUNTS_OFFICIAL_PRICES="true")
    line = server.wait_for_line("seekd is ready")
    server.wait_until_ready()
    command = re.search(r"first: (seekd accounts top-up open 10[^;]*);", line)
    assert command, line
    curl = shlex.split(line.partition("try: ")[2])
    headers = dict(curl[i + 1].split(": ") for i, word in enumerate(curl) if word == "-H")
    body = curl[curl.index("-d") + 1]
    assert httpx.post(curl[1], content=body, headers=headers).status_code == 402
    subprocess.run([sys.executable, "-m", *shlex.split(command[1])], check=True, timeout=60, capture_output=True)
    assert httpx.post(curl[1], content=body, headers=headers, timeout=60).status_code == 200


def test_models_are_listed_while_the_first_one_loads(start_server: StartServer) -> None:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    server = start_server("--port", str(port))
    server.wait_for_line("starting")
    answer = httpx.get(f"http://127.0.0.1:{port}/models", timeout=60)
    assert answer.status_code == 200, answer.text
    [*cards] = answer.json()["data"]
    assert cards[0]["abilities"] == {"chat": True, "thinking": "switch", "tools": True, "json": True, "fim": True}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_server_cleanly(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server()
    server.wait_until_ready()
    assert server.stop(number) == 0
    assert not any("Traceback" in line for line in server.lines)


def test_a_signal_while_the_model_loads_stops_the_server_cleanly(start_server: StartServer) -> None:
    server = start_server("--log-level", "debug")
    server.wait_for_line("starting")
    assert server.stop(signal.SIGINT) == 0


def test_a_taken_port_is_one_sentence(start_server: StartServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        text = _fails(start_server("--port", str(other.getsockname()[1])))
    assert "is taken by another program" in text
    assert "--port" in text


def test_a_missing_model_file_is_one_sentence(start_server: StartServer, tmp_path: Path) -> None:
    text = _fails(start_server("--model", str(tmp_path / "none.gguf")))
    assert "does not exist" in text


def _not_gguf(_: bytes) -> bytes:
    return b"this is no model" * 1000


def _cut_short(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _header_only(whole: bytes) -> bytes:
    return whole[:40]


def _counts_destroyed(whole: bytes) -> bytes:
    return whole[:8] + b"\xff" * 16 + whole[24:]


@pytest.mark.fault("damaged-model-file")
@pytest.mark.parametrize("damage", [_not_gguf, _cut_short, _header_only, _counts_destroyed])
def test_a_damaged_model_file_is_one_sentence(
    start_server: StartServer, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = tmp_path / "damaged.gguf"
    file.write_bytes(damage(find_model_file("bundled").read_bytes()))
    text = _fails(start_server("--model", str(file)))
    assert "damaged.gguf" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prot", "1"], "No such option"),
        (["--port", "many"], "port"),
        (["--port", "99999"], "99999"),
        (["--log-level", "loud"], "log.level"),
        (["--config", "/nowhere/seekd.toml"], "does not exist"),
        (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
    ],
)
def test_a_bad_flag_is_one_sentence(start_server: StartServer, arguments: list[str], words: str) -> None:
    assert words in _fails(start_server(*arguments))


def test_health_says_whether_a_request_would_be_answered(server: ServerProcess) -> None:
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_a_script_answers_in_place_of_a_model_also_after_a_reset(start_server: StartServer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("def script(seekd):\n    seekd.on(text='Hi').reply('Hello')\n", encoding="utf-8")
    server = start_server("--script", str(script), "--data-dir", str(tmp_path / "data")).wait_until_ready()
    body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(2):
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=body).json()
        assert answer["choices"][0]["message"]["content"] == "Hello"
        httpx.post(f"{server.url}/_seekd/reset")


def test_a_script_that_cannot_be_used_keeps_the_server_from_starting(start_server: StartServer, tmp_path: Path) -> None:
    script = tmp_path / "script.toml"
    script.write_text("[[reply]]\nfault = 'stal'\n", encoding="utf-8")
    assert "no fault 'stal'; there are" in _fails(start_server("--script", str(script)))
