"""The kinds of engines, by the setting that chooses one: the only place that names them all.

A new kind is a folder of its own, a value of `EngineKind` and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from seekd.engine.kernels import choose_kernels
from seekd.engine.llama import engine as llama
from seekd.engine.llama.model_file import read_model_file
from seekd.engine.openvino import sizing as openvino_sizing
from seekd.engine.settings import EngineKind, EngineSettings, Kernels
from seekd.engine.types import EngineParts, MemoryPlan


class MakeEngine(Protocol):
    """Makes engines of one kind."""

    def __call__(self, path: Path, settings: EngineSettings, *, cache_dir: Path | None, log_level: str) -> EngineParts:
        """See `make_engine`."""


def _file_engine(path: Path, settings: EngineSettings, *, cache_dir: Path | None, log_level: str) -> EngineParts:
    """A GGUF file's engine. Its kernels are chosen in its process; here they decide what memory it takes."""
    parts = llama.llama_engine(path, settings, cache_dir=cache_dir, log_level=log_level)
    if settings.kernels is not Kernels.OPENVINO:
        return parts

    def plan() -> MemoryPlan:
        return openvino_sizing.plan_memory(read_model_file(path), settings)

    return replace(parts, plan_memory=plan)


KINDS: Mapping[EngineKind, MakeEngine] = MappingProxyType({EngineKind.LLAMA: _file_engine})


def make_engine(
    path: Path, settings: EngineSettings, *, cache_dir: Path | None = None, log_level: str = "info"
) -> EngineParts:
    """An engine of the kind that the settings name, and what is known of its model without it.

    Args:
        path: of the model.
        settings: of the engine.
        cache_dir: home of the prefix cache on disk; None keeps none.
        log_level: least level that the engine logs.
    """
    return KINDS[settings.engine](path, settings, cache_dir=cache_dir, log_level=log_level)


def describe_kernels(path: Path, settings: EngineSettings) -> str:
    """What will compute a GGUF file, and why, for people.

    Raises:
        ConfigError: the file is no model.
    """
    choice = choose_kernels(read_model_file(path), settings)
    return f"{choice.kernels} ({choice.reason})"


def free_gpu_bytes() -> int:
    """Free memory of the GPUs that an engine here can compute on."""
    return llama.free_gpu_bytes()
