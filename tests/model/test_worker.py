"""The real engine process: a model in a child, a cache that outlives it, files that kill it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seekd.config import ByteSize
from seekd.engine.link.process import EngineProcess
from seekd.engine.settings import EngineSettings, Kernels
from seekd.engine.types import ConstraintSpec, EngineRequest, FinishReason, Sampling
from seekd.errors import ConfigError, ContextTooLong, EngineError
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture
from tests.model.kernels import NEEDS_OPENVINO, case_name

SETTINGS = EngineSettings(max_sequences=4, cache_ram=ByteSize(1 << 24), cache_disk=ByteSize(1 << 24))


CASES = [
    (Architecture.DEEPSEEK2, Kernels.LLAMA),
    pytest.param((Architecture.QWEN2, Kernels.OPENVINO), marks=NEEDS_OPENVINO),
]
ON_BOTH = [Kernels.LLAMA, pytest.param(Kernels.OPENVINO, marks=NEEDS_OPENVINO)]


def settings_for(kernels: Kernels) -> EngineSettings:
    return dataclasses.replace(SETTINGS, kernels=kernels)


def request(request_id: str = "r", **fields: object) -> EngineRequest:
    values = {"prompt_token_ids": [0, *range(10, 210)], "max_tokens": 8, "sampling": Sampling(temperature=0)}
    return EngineRequest(request_id=request_id, **(values | fields))  # type: ignore[arg-type]


async def collect(engine: EngineProcess, of: EngineRequest) -> tuple[list[int], FinishReason | None, int]:
    updates = [update async for update in engine.generate(of)]
    token_ids = [token_id for update in updates for token_id in update.token_ids]
    return token_ids, updates[-1].finish_reason, updates[0].num_cached_tokens


@pytest.mark.parametrize("case", CASES, ids=case_name)
async def test_a_model_answers_through_the_process(
    case: tuple[Architecture, Kernels], model_file: ModelFiles, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    architecture, kernels = case
    engine = EngineProcess(model_file(architecture), settings_for(kernels))
    await engine.start()
    try:
        said = next(record.getMessage() for record in caplog.records if record.getMessage().startswith("model loaded"))
        assert f"max_sequences={SETTINGS.max_sequences}" in said
        assert "context_length=2048" in said
        assert "threads=" in said
        assert engine.info.architecture == architecture
        assert engine.info.metadata["tokenizer.ggml.pre"] == "deepseek-v3"
        assert engine.info.context_length == 2048
        tokens, _, cached = await collect(engine, request())
        assert cached == 0
        answers = await asyncio.gather(*(collect(engine, request(f"r{i}")) for i in range(6)))
        assert {tuple(answer[0]) for answer in answers} == {tuple(tokens)}
        assert {answer[2] for answer in answers} == {200}
        explanation = engine.explain("r0")
        assert explanation is not None
        assert explanation.num_used_tokens == 200
        with pytest.raises(ContextTooLong):
            await collect(engine, request(prompt_token_ids=[0] * 2048))
        with pytest.raises(EngineError):
            await collect(engine, request(prompt_token_ids=[10**6]))
    finally:
        await engine.close()


@pytest.mark.parametrize("kernels", ON_BOTH)
async def test_each_sampling_parameter_changes_the_output(kernels: Kernels, model_file: ModelFiles) -> None:
    engine = EngineProcess(model_file(Architecture.LLAMA), settings_for(kernels))
    await engine.start()
    try:
        base: dict[str, float] = {"temperature": 1.5, "seed": 1}

        async def sample(**changed: float) -> list[int]:
            sampling = Sampling(**(base | changed))  # type: ignore[arg-type]
            return (await collect(engine, request(max_tokens=60, sampling=sampling)))[0]

        # The first one computes the whole prompt, later ones its last block. The noise of another batch shape may turn
        # a draw, as it does on processors whose kernels for few and for many tokens differ.
        await sample()
        plain = await sample()
        assert await sample() == plain
        for changed in (
            {"seed": 2},
            {"temperature": 0.5},
            {"top_p": 0.3},
            {"presence_penalty": 2.0},
            {"frequency_penalty": 2.0},
        ):
            assert await sample(**changed) != plain
    finally:
        await engine.close()


@pytest.mark.parametrize("kernels", ON_BOTH)
async def test_a_constraint_holds_in_the_process(kernels: Kernels, model_file: ModelFiles) -> None:
    engine = EngineProcess(model_file(Architecture.LLAMA), settings_for(kernels))
    await engine.start()
    try:
        grammar = "%llguidance {}\nstart: /(red|green|blue)!/"
        tokens, reason, _ = await collect(engine, request(max_tokens=50, constraint=ConstraintSpec(grammar=grammar)))
        text = bytes(token_id - 3 for token_id in tokens if token_id < 259)
        assert reason is FinishReason.STOP
        assert len(tokens) <= 6
        assert text[-1:] == b"!"
    finally:
        await engine.close()


def num_block_files(root: Path) -> int:
    return len(list(root.glob("*/??/*")))


@pytest.mark.parametrize("case", CASES, ids=case_name)
async def test_after_a_kill_the_prompt_is_on_disk(
    case: tuple[Architecture, Kernels], model_file: ModelFiles, tmp_path: Path
) -> None:
    architecture, kernels = case
    engine = EngineProcess(model_file(architecture), settings_for(kernels), cache_dir=tmp_path)
    await engine.start()
    try:
        expected = (await collect(engine, request()))[0]
        async with asyncio.timeout(20):
            while num_block_files(tmp_path) < 4:  # three blocks of 64 in 201 tokens, and a tail
                await asyncio.sleep(0.02)
        assert engine.process_id is not None
        os.kill(engine.process_id, signal.SIGKILL)
        tokens, _, cached = await collect(engine, request())
        assert (tokens, cached) == (expected, 200)
        explanation = engine.explain("r")
        assert explanation is not None
        assert explanation.num_disk_tokens == 200
    finally:
        await engine.close()


@pytest.mark.parametrize("case", CASES, ids=case_name)
async def test_a_file_that_lacks_a_tensor_is_refused(
    case: tuple[Architecture, Kernels], model_file: ModelFiles, tmp_path: Path
) -> None:
    architecture, kernels = case
    whole = model_file(architecture).read_bytes()
    path = tmp_path / "broken.gguf"
    # The header check passes, the name of a needed tensor does not.
    path.write_bytes(whole.replace(b"blk.1.attn_q.weight", b"blk.1.attn_x.weight"))
    engine = EngineProcess(path, settings_for(kernels))
    with pytest.raises(ConfigError):
        await engine.start()
    await engine.close()


async def test_the_context_must_fit_the_memory_that_it_may_take(model_file: ModelFiles) -> None:
    settings = EngineSettings(context_length=2048, kv_memory=ByteSize(100_000))
    engine = EngineProcess(model_file(Architecture.LLAMA), settings)
    with pytest.raises(ConfigError, match=r"engine\.kv_memory"):
        await engine.start()
    await engine.close()


def test_the_process_imports_no_http_no_sql_and_no_matchers() -> None:
    code = "import sys, seekd.worker; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    imported = set(result.stdout.split())
    assert "numpy" in imported
    assert imported.isdisjoint(
        {"starlette", "uvicorn", "httpx", "sqlite3", "llguidance", "openvino", "asyncio", "jinja2", "deepseek_recipe"}
    )
