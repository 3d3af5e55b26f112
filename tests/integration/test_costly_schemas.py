"""Schemas that would take the server with them: refused, and nobody else notices."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import ServerProcess, StartServer


def _ask(url: str, value: dict[str, Any]) -> httpx.Response:
    schema = {"type": "object", "properties": {"a": value}, "required": ["a"], "additionalProperties": False}
    body = {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": "Answer in JSON."}],
        "max_tokens": 30,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)


@pytest.mark.fault("schema-beyond-a-bound")
def test_a_keyword_beyond_its_bound_is_refused_and_the_next_schema_is_compiled(server: ServerProcess) -> None:
    for _ in range(3):
        refused = _ask(server.url, {"type": "integer", "multipleOf": 9999991})
        assert refused.status_code == 400
        assert "properties.a.multipleOf: " in refused.json()["error"]["message"]
    assert _ask(server.url, {"type": "integer", "multipleOf": 5}).status_code == 200


@pytest.mark.fault("schema-without-end")
def test_the_server_stops_in_the_middle_of_a_compilation(start_server: StartServer) -> None:
    server = start_server()
    server.wait_until_ready()
    statuses: list[int | None] = []

    def ask() -> None:
        try:
            steps = [{"type": "integer", "multipleOf": multiple} for multiple in (97, 98, 99, 101)]
            statuses.append(_ask(server.url, {"allOf": steps}).status_code)
        except httpx.HTTPError:
            statuses.append(None)  # closed before there was an answer

    asking = threading.Thread(target=ask)
    asking.start()
    deadline_s = time.monotonic() + 20
    while not _compiles(server.process.pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert server.stop() == 0
    asking.join(20)
    assert statuses
    assert statuses[0] != 200


def _compiles(process_id: int) -> bool:
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            if parent == process_id and b"rule_worker" in (status.parent / "cmdline").read_bytes():
                return True
        except OSError:  # it has ended
            continue
    return False
