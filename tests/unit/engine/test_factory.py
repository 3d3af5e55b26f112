"""What is known of a model without an engine process, whatever kind of engine serves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.model.gguf_files import Architecture, write_gguf

from seekd.config import ByteSize
from seekd.engine.factory import KINDS, describe_kernels, make_engine
from seekd.engine.llama.model_file import read_model_file
from seekd.engine.openvino.shape import find_obstacle
from seekd.engine.settings import EngineKind, EngineSettings, Kernels, KvType
from seekd.errors import ConfigError, EngineError
from seekd.models.locate import find_model_file
from seekd.models.settings import BUNDLED_MODEL

MODEL = find_model_file(BUNDLED_MODEL)


def test_every_kind_that_the_settings_may_name_can_be_made() -> None:
    assert set(KINDS) == set(EngineKind)


def test_a_model_says_what_it_is_before_its_engine_is_started() -> None:
    parts = make_engine(MODEL, EngineSettings(context_length=256))
    outline, memory = parts.outline(), parts.plan_memory()
    assert outline.metadata["general.architecture"] == outline.architecture
    assert outline.metadata["seekd.demo"] == "true"
    assert outline.vocab_size > 0
    assert outline.size_bytes == MODEL.stat().st_size
    assert memory.context_length == 256
    assert memory.total_bytes > memory.needed_bytes > memory.weights_bytes
    assert not parts.engine.health.ready
    with pytest.raises(EngineError):
        _ = parts.engine.info


def test_the_vocabulary_is_the_outlines() -> None:
    parts = make_engine(MODEL, EngineSettings())
    with parts.open_vocabulary() as vocabulary:
        assert vocabulary.size == parts.outline().vocab_size
        assert vocabulary.special_tokens == parts.outline().special_tokens


def test_a_file_that_is_no_model_is_refused_in_a_sentence_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a model")
    parts = make_engine(tmp_path / "notes.txt", EngineSettings())
    for read in (parts.outline, parts.plan_memory):
        with pytest.raises(ConfigError, match="not a GGUF file"):
            read()


def test_settings_that_a_model_cannot_keep_leave_its_outline_readable() -> None:
    parts = make_engine(MODEL, EngineSettings(context_length=1 << 30, kv_memory=ByteSize(1 << 20)))
    assert parts.outline().name
    with pytest.raises(ConfigError, match="kv_memory"):
        parts.plan_memory()


def test_the_kernels_are_told_with_the_reason(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", Architecture.QWEN3)
    said = {kernels: describe_kernels(path, EngineSettings(kernels=kernels)) for kernels in Kernels}
    assert said[Kernels.AUTO].startswith("llama (OpenVINO can compute it too")
    assert said[Kernels.LLAMA] == "llama (engine.kernels asks for it)"
    assert said[Kernels.OPENVINO] == "openvino (engine.kernels asks for it)"
    bundled = describe_kernels(MODEL, EngineSettings())
    assert bundled.startswith("llama (OpenVINO cannot compute it: it has the architecture deepseek2")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("split.count", 2, "split into several files"),
        ("qwen3.expert_count", 8, "has experts"),
        ("qwen3.rope.scaling.type", "yarn", "stretches its positions"),
        ("qwen3.attention.value_length", 16, "different sizes"),
        ("qwen3.rope.dimension_count", 16, "only a part of each head"),
    ],
)
def test_openvino_is_not_asked_for_what_its_graph_has_not(
    key: str, value: int | str, reason: str, tmp_path: Path
) -> None:
    file = read_model_file(write_gguf(tmp_path / "model.gguf", Architecture.QWEN3))
    assert find_obstacle(file) is None
    changed = replace(file, metadata={**file.metadata, key: value})
    assert reason in (find_obstacle(changed) or "")


def test_memory_is_planned_for_the_kernels_that_the_settings_name(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", Architecture.QWEN3)
    plans = {kernels: make_engine(path, EngineSettings(kernels=kernels)).plan_memory() for kernels in Kernels}
    assert plans[Kernels.AUTO] == plans[Kernels.LLAMA]
    assert plans[Kernels.OPENVINO].num_cells == plans[Kernels.LLAMA].num_cells
    assert plans[Kernels.OPENVINO].weights_bytes > plans[Kernels.LLAMA].weights_bytes  # it keeps them twice
    unsupported = make_engine(path, EngineSettings(kernels=Kernels.OPENVINO, kv_type=KvType.Q8_0))
    with pytest.raises(ConfigError, match=r"engine\.kv_type"):
        unsupported.plan_memory()
