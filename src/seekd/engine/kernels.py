"""Which kernels compute a model file: the setting's choice, carried out where the model is loaded."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from seekd.engine.runtime import Runtime
from seekd.engine.settings import EngineSettings, Kernels


def open_runtime(path: Path, settings: EngineSettings) -> AbstractContextManager[Runtime]:
    """Load a model with the kernels that the settings name. Only those are imported.

    Raises:
        ConfigError: they are not installed, or cannot compute the file with these settings.
    """
    if settings.kernels is Kernels.OPENVINO:
        from seekd.engine.openvino.runtime import open_runtime as open_openvino

        return open_openvino(path, settings)
    from seekd.engine.llama.runtime import open_runtime as open_llama

    return open_llama(path, settings)
