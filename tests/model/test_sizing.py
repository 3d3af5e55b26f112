"""What a file's header says of the memory that it needs, and of what a GPU would hold of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seekd.config import ByteSize
from seekd.engine.llama.binding import C, Library
from seekd.engine.llama.devices import list_gpus
from seekd.engine.llama.model_file import ModelFile, read_model_file
from seekd.engine.llama.runtime import open_runtime
from seekd.engine.llama.sizing import gpu_layers, kv_bytes_per_token, parts, plan_memory, weights_bytes
from seekd.engine.settings import EngineSettings, KvType
from seekd.errors import ConfigError
from tests.model.conftest import ModelFiles
from tests.model.gguf_files import Architecture

MIB = 1 << 20
SETTINGS = EngineSettings(kv_memory=ByteSize(64 * MIB), cache_ram=ByteSize(0))


def _file(**changes: object) -> ModelFile:
    """A model of the shape of R1-Distill-Qwen-1.5B: 28 layers, 2 heads of keys and values, 128 wide."""
    metadata = {
        "general.architecture": "qwen2",
        "qwen2.block_count": 28,
        "qwen2.context_length": 131072,
        "qwen2.embedding_length": 1536,
        "qwen2.attention.head_count": 12,
        "qwen2.attention.head_count_kv": 2,
        **changes,
    }
    return ModelFile(
        path=Path("m.gguf"),
        metadata=metadata,  # type: ignore[arg-type]  # changes are scalars
        array_lengths={"tokenizer.ggml.tokens": 1000},
        size_bytes=1000 * MIB,
    )


def test_keys_and_values_follow_from_the_shape() -> None:
    assert kv_bytes_per_token(_file(), KvType.F16) == 28 * 2 * 256 * 2
    assert kv_bytes_per_token(_file(), KvType.F32) == 28 * 2 * 256 * 4


def test_a_plan_keeps_to_the_budget_and_adds_up() -> None:
    plan = plan_memory(_file(), SETTINGS)
    assert plan.kv_bytes <= 64 * MIB
    assert plan.context_length == plan.num_cells == 64 * MIB // (28 * 2 * 256 * 2) // 256 * 256
    assert plan.needed_bytes == plan.weights_bytes + plan.kv_bytes + plan.buffers_bytes
    assert plan.total_bytes == plan.needed_bytes


def test_a_context_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"engine\.kv_memory"):
        plan_memory(_file(), replace(SETTINGS, context_length=100_000))


def test_a_deterministic_engine_has_a_context_for_each_sequence_in_the_same_budget() -> None:
    settings = replace(SETTINGS, max_sequences=3, deterministic=True)
    plan = plan_memory(_file(), settings)
    assert plan.kv_bytes <= 64 * MIB
    assert plan.num_cells == 3 * plan.context_length
    assert plan.context_length == 64 * MIB // (28 * 2 * 256 * 2) // 3 // 256 * 256
    with pytest.raises(ConfigError, match=r"for each of engine\.max_sequences"):
        plan_memory(_file(), replace(settings, context_length=2 * plan.context_length))


def test_the_plan_is_what_a_loaded_model_has(model_file: ModelFiles) -> None:
    path = model_file(Architecture.QWEN2)
    plan = plan_memory(read_model_file(path), SETTINGS)
    with open_runtime(path, SETTINGS) as runtime:
        assert (runtime.info.context_length, runtime.num_cells) == (plan.context_length, plan.num_cells)
    settings = EngineSettings(context_length=300, max_sequences=3, threads=1, deterministic=True)
    plan = plan_memory(read_model_file(path), settings)
    with open_runtime(path, settings) as runtime:
        assert (runtime.info.context_length, runtime.num_cells) == (300, plan.num_cells) == (300, 3 * 512)


@pytest.mark.parametrize(
    ("gpu_mib", "expected"),
    [(0, 0), (700, 0), (768 + 40, 1), (768 + 500, 13), (4000, 29)],
)
def test_as_many_layers_go_to_the_gpu_as_fit(gpu_mib: int, expected: int) -> None:
    assert gpu_layers(_file(), SETTINGS, gpu_bytes=gpu_mib * MIB) == expected


def test_the_users_number_of_layers_wins() -> None:
    assert gpu_layers(_file(), replace(SETTINGS, gpu_layers=7), gpu_bytes=0) == 7
    assert gpu_layers(_file(), replace(SETTINGS, gpu_layers=0), gpu_bytes=10**12) == 0


def test_all_parts_of_a_split_model_count(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"m-{number:05}-of-00003.gguf").write_bytes(bytes(number))
    first = replace(_file(**{"split.count": 3}), path=tmp_path / "m-00001-of-00003.gguf", size_bytes=1)
    assert weights_bytes(first) == 6
    assert weights_bytes(replace(first, path=tmp_path / "other.gguf")) == 1
    assert [path.name for path in parts(first)] == [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]


def test_a_build_for_the_processor_has_no_gpus() -> None:
    with Library():
        assert (list_gpus() == []) or C.llama_supports_gpu_offload()
