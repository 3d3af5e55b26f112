"""What a user may choose about an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from seekd.engine import settings
from seekd.engine.settings import EngineSettings, Kernels


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context_length", 63),
        ("max_sequences", 0),
        ("max_sequences", 251),
        ("threads", 0),
        ("batch_tokens", 31),
        ("chunk_tokens", 15),
        ("queue_limit", -1),
        ("restart_wait_s", -0.5),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"engine.{name} is {value}"):
        EngineSettings(**{name: value})  # type: ignore[arg-type]


def test_every_sequence_advances_in_each_step() -> None:
    with pytest.raises(ValueError, match=r"engine\.batch_tokens"):
        EngineSettings(max_sequences=64, batch_tokens=32)


def test_a_deterministic_engine_needs_kernels_that_can_be() -> None:
    with pytest.raises(ValueError, match=r"engine\.deterministic is true.*engine\.kernels"):
        EngineSettings(deterministic=True, kernels=Kernels.OPENVINO)
    EngineSettings(deterministic=True)


def test_the_defaults_are_valid_and_fit_the_machine() -> None:
    EngineSettings()
    assert 0 < settings.default_cache_ram() < settings.memory_bytes()
    assert settings.default_threads(1 << 40) >= 1


def test_a_small_model_gets_one_thread() -> None:
    assert settings.default_threads(10 << 20) == 1


def test_the_disk_default_is_bounded_and_needs_no_directory_yet(tmp_path: Path) -> None:
    size = settings.default_cache_disk(tmp_path / "not" / "yet")
    assert 0 <= size <= 10 << 30
