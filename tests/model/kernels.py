"""The kernels that tests of the engine run on; OpenVINO's only where it is installed."""

from __future__ import annotations

import enum
import importlib.util

import pytest

from seekd.engine.settings import Kernels
from tests.model.gguf_files import Architecture

NEEDS_OPENVINO = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed: pip install openvino"
)

ON_OPENVINO = [
    pytest.param((architecture, Kernels.OPENVINO), marks=NEEDS_OPENVINO)
    for architecture in (Architecture.LLAMA, Architecture.QWEN2, Architecture.QWEN3)
]
"""Every architecture that OpenVINO's kernels compute, with these kernels."""


def case_name(case: tuple[enum.StrEnum, ...]) -> str:
    """Of a test's parameter, such as `qwen2-openvino`."""
    return "-".join(str(part) for part in case)
