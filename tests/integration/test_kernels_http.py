"""A model on OpenVINO's kernels, as a client of the API sees it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from tests.integration.conftest import StartServer
from tests.model.gguf_files import Architecture, write_gguf
from tests.model.kernels import NEEDS_OPENVINO
from tests.unit.prompt.templates import CHATML

pytestmark = NEEDS_OPENVINO

LONG = [{"role": "user", "content": "Tell me of the sea and of the wind. " * 20}]
AS_JSON = [{"role": "user", "content": "As JSON."}]


def _model(path: Path) -> Path:
    return write_gguf(path, Architecture.QWEN3, template=CHATML, markers=("<|im_start|>", "<|im_end|>"))


async def test_eight_requests_share_the_blocks_of_their_prompt(start_server: StartServer, tmp_path: Path) -> None:
    path = _model(tmp_path / "model.gguf")
    server = start_server("--model", str(path), SEEKD_ENGINE_KERNELS="openvino").wait_until_ready()

    async def ask(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
        body = {"model": "deepseek-chat", "messages": LONG, "temperature": 0, "max_tokens": 12, "logprobs": True}
        response = await client.post("/v1/chat/completions", json=body | fields)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        answers = await asyncio.gather(*(ask(client) for _ in range(8)))
        as_json = await ask(client, response_format={"type": "json_object"}, messages=[*LONG, *AS_JSON])
    texts = {answer["choices"][0]["message"]["content"] for answer in answers}
    assert len(texts) == 1
    prompt_tokens = answers[0]["usage"]["prompt_tokens"]
    hits = sorted(answer["usage"]["prompt_cache_hit_tokens"] for answer in answers)
    assert hits[0] == 0
    assert min(hits[1:]) >= (prompt_tokens - 1) // 64 * 64
    assert as_json["choices"][0]["message"]["content"].startswith("{")


def test_a_model_that_these_kernels_cannot_compute_is_refused_in_a_sentence(start_server: StartServer) -> None:
    server = start_server(SEEKD_ENGINE_KERNELS="openvino")  # the bundled model's attention is DeepSeek's own
    line = server.wait_for_line("OpenVINO's kernels cannot compute")
    assert "architecture deepseek2" in line
    assert "Serve it with engine.kernels = " in line
    assert server.process.wait(60) != 0
