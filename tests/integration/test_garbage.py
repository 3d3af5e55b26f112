"""A request leaves nothing for the garbage collector, which would otherwise take a tenth of a busy server's time."""

from __future__ import annotations

import gc
from pathlib import Path

import httpx
import pytest

from seekd.testing import say, serve_script

BODY = {"model": "deepseek-chat", "messages": [{"role": "user", "content": "Hello"}]}
OF_REQUESTS = ("seekd.service.", "seekd.engine.types", "seekd.prompt.answer")


@pytest.mark.parametrize("stream", [False, True])
def test_what_belongs_to_a_request_is_freed_without_the_collector(tmp_path: Path, stream: bool) -> None:
    with serve_script(say("Hello"), data_dir=tmp_path / "data") as server, httpx.Client() as client:

        def ask() -> None:
            client.post(f"{server.url}/v1/chat/completions", json={**BODY, "stream": stream}).raise_for_status()

        ask()
        gc.collect()
        gc.disable()
        try:
            gc.set_debug(gc.DEBUG_SAVEALL)
            for _ in range(5):
                ask()
            gc.collect()
            kinds = [f"{type(found).__module__}.{type(found).__name__}" for found in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
    assert [kind for kind in kinds if kind.startswith(OF_REQUESTS)] == []
