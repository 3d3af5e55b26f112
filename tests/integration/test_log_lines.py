"""The log as somebody reads it on a terminal while strangers send requests."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from seekd import log
from seekd.engine.scripted import say
from seekd.testing.server import serve_script

FORGED = "12:00:00 info     a line of the server's own"


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """What a terminal would get."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.set_up(log.LogSettings(format="lines"), stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level


@pytest.mark.fault("forged-log-lines")
def test_paths_and_model_names_forge_no_lines_and_move_no_cursor(terminal: io.StringIO, tmp_path: Path) -> None:
    with serve_script(say("x"), data_dir=tmp_path) as server:
        httpx.get(f"{server.url}/x%0A{FORGED}%1B[2J%C2%9B2J%E2%80%AE%E2%80%A8")
        body = {"model": f"m\n{FORGED}\x1b[2J\r", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
        refused = httpx.post(f"{server.url}/anthropic/v1/messages", json=body)
    assert refused.status_code == 400  # a name that does not print is no name
    lines = terminal.getvalue().removesuffix("\n").split("\n")
    assert sum(r"GET /x\n12:00:00" in line for line in lines) == 1
    for line in lines:
        assert not line.startswith(FORGED)
        assert line.isprintable(), ascii(line)


def test_a_request_is_one_line_with_what_became_of_it(terminal: io.StringIO, tmp_path: Path) -> None:
    with serve_script(say("Hello"), data_dir=tmp_path) as server:
        body = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=body)
    usage = answer.json()["usage"]
    [line] = [line for line in terminal.getvalue().splitlines() if answer.headers["x-request-id"] in line]
    assert "POST /v1/chat/completions 200  0." in line
    assert (
        f"deepseek-chat  {usage['prompt_tokens']} + {usage['completion_tokens']} tokens, 0 cached, first after" in line
    )
    assert line.endswith(f"  stop  {answer.headers['x-request-id']}")
