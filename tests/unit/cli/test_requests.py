"""`seekd requests`, asking a real server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from seekd.cli import requests
from seekd.engine.scripted import Delay, EmitText
from seekd.errors import ConfigError, InvalidParameter
from seekd.testing.server import ScriptedServer
from tests.unit.cli.test_accounts import run, run_json

BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def server(seekd_server: Callable[..., ScriptedServer], tmp_path: Path) -> ScriptedServer:
    return seekd_server(lambda _: (EmitText(text="four"), Delay(delay_s=3600)), data_dir=tmp_path)


def test_requests_are_listed_and_cancelled(server: ScriptedServer, tmp_path: Path) -> None:
    answers: list[httpx.Response] = []
    client = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=60))
    )
    client.start()
    deadline_s = time.monotonic() + 30
    while not (shown := run_json(requests.app, tmp_path, "list", "--url", server.url)):
        assert time.monotonic() < deadline_s
    assert (shown[0]["account_id"], shown[0]["route"]) == ("open", "/v1/chat/completions")
    request_id = shown[0]["id"]
    assert request_id in run(requests.app, tmp_path, "list", "--url", server.url)
    assert request_id in run(requests.app, tmp_path, "cancel", request_id, "--url", server.url)
    client.join(30)
    assert answers[0].status_code == 403


@pytest.mark.parametrize(
    ("token", "url", "error", "reason"),
    [
        (None, None, InvalidParameter, "No request with the id 'none'"),
        ("adm-of-another-server", None, ConfigError, "another admin token"),
        (None, "http://127.0.0.1:1", ConfigError, "No seekd answers at http://127.0.0.1:1"),
        ("", None, ConfigError, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(
    server: ScriptedServer, tmp_path: Path, token: str | None, url: str | None, error: type[Exception], reason: str
) -> None:
    if token:
        (tmp_path / "admin-token").write_text(token)
    elif token is not None:
        (tmp_path / "admin-token").unlink()
    with pytest.raises(error, match=reason):
        run(requests.app, tmp_path, "cancel", "none", "--url", url or server.url)
