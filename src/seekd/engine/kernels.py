"""Which kernels compute a model file, and why: the setting's choice, carried out where the model is loaded."""

from __future__ import annotations

import importlib.util
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from seekd.engine.llama.model_file import ModelFile, read_model_file
from seekd.engine.openvino.shape import find_obstacle
from seekd.engine.runtime import Runtime
from seekd.engine.settings import EngineSettings, Kernels

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelChoice:
    """What computes a model.

    Attributes:
        kernels: never `AUTO`.
        reason: for people.
    """

    kernels: Kernels
    reason: str


def choose_kernels(file: ModelFile, settings: EngineSettings) -> KernelChoice:
    """The kernels of a file; for `auto` llama.cpp, of which docs/decisions/openvino.md says why."""
    if settings.kernels is not Kernels.AUTO:
        return KernelChoice(kernels=settings.kernels, reason="engine.kernels asks for it")
    obstacle = find_obstacle(file)
    if obstacle is not None:
        return KernelChoice(kernels=Kernels.LLAMA, reason=f"OpenVINO cannot compute it: it {obstacle}")
    reason = 'OpenVINO can compute it too, with engine.kernels = "openvino"'
    if importlib.util.find_spec("openvino") is None:
        reason += " and its package"
    return KernelChoice(kernels=Kernels.LLAMA, reason=reason)


def open_runtime(
    path: Path, settings: EngineSettings, *, weights_dir: Path | None = None
) -> AbstractContextManager[Runtime]:
    """Load a model with the kernels that the settings choose. Only those are imported.

    Args:
        path: of the file.
        settings: of the engine.
        weights_dir: where weights that were unpacked for OpenVINO are kept from one start to the next; None keeps none.

    Raises:
        ConfigError: they are not installed, or cannot compute the file with these settings.
    """
    choice = choose_kernels(read_model_file(path), settings)
    _log.info(
        "kernels chosen", extra={"action": "kernels_chosen", "kernels": str(choice.kernels), "reason": choice.reason}
    )
    if choice.kernels is Kernels.OPENVINO:
        from seekd.engine.openvino.runtime import open_runtime as open_openvino

        return open_openvino(path, settings, weights_dir=weights_dir)
    from seekd.engine.llama.runtime import open_runtime as open_llama

    return open_llama(path, settings)
