"""`seekd top`, watching a real server in a real terminal."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pexpect
import pytest
from rich.console import Console

from seekd.cli.top import page
from seekd.engine.scripted import Delay, EmitText
from seekd.testing.server import ScriptedServer
from tests.unit.cli.terminal import spawn_in_terminal

BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
COMMAND = [sys.executable, "-m", "seekd", "top"]
MODEL = {
    "name": "m\x1b[2J",
    "state": "loaded",
    "reason": None,
    "running": 1,
    "slots": 4,
    "waiting": 2,
    "memory_used": 0.25,
    "cache_ram_bytes": 3 << 20,
    "cache_disk_bytes": 0,
    "prompt_tokens_total": 30,
    "cached_tokens_total": 10,
    "completion_tokens_total": 150,
}


@pytest.fixture
def server(seekd_server: Callable[..., ScriptedServer], tmp_path: Path) -> ScriptedServer:
    return seekd_server(lambda _: (EmitText(text="four"), Delay(delay_s=3600)), data_dir=tmp_path)


def test_running_requests_are_shown_until_the_user_leaves(server: ScriptedServer, tmp_path: Path) -> None:
    answers: list[int] = []
    client = threading.Thread(
        target=lambda: answers.append(
            httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=60).status_code
        )
    )
    client.start()
    arguments = [*COMMAND[1:], "--url", server.url, "--data-dir", str(tmp_path), "--interval", "0.1"]
    environment = {**os.environ, "TERM": "xterm"}
    child = spawn_in_terminal(COMMAND[0], arguments, environment)
    child.expect("default +loaded")
    child.expect("deepseek-chat +decode")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    shown = json.loads(
        subprocess.run(
            [*COMMAND, "--json", "--url", server.url, "--data-dir", str(tmp_path)],
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
    )
    assert [model["state"] for model in shown["models"]] == ["loaded"]
    [request] = shown["requests"]
    token = (tmp_path / "admin-token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.delete(f"{server.url}/admin/requests/{request['id']}", headers=headers).status_code == 200
    client.join(30)
    assert answers == [403]


def test_without_a_terminal_it_says_what_to_do(server: ScriptedServer, tmp_path: Path) -> None:
    arguments = ["--url", server.url, "--data-dir", str(tmp_path)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--json" in done.stderr


def test_rates_are_those_since_the_last_look_and_names_move_no_cursor() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(page([MODEL], [], before=[{**MODEL, "completion_tokens_total": 100}], elapsed_s=2.0))
    text = console.export_text()
    assert r"m\u001b[2J" in text
    assert "25.0" in text
    assert "25%" in text
