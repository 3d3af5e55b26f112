"""OpenVINO, which is installed only where it is wanted."""

from __future__ import annotations

import importlib.util

from seekd.errors import ConfigError

__all__ = ["PagedAttention", "ops", "ov"]

_PACKAGES = ("openvino", "gguf")

for _name in _PACKAGES:
    if importlib.util.find_spec(_name) is None:
        raise ConfigError(
            f'engine.kernels is "openvino", which needs the package {_name}.'
            ' Install it with: pip install "seekd[openvino]"'
        )

import openvino as ov  # noqa: E402 - after the sentence above
from openvino import opset15 as ops  # noqa: E402
from openvino.op import _PagedAttentionExtension as PagedAttention  # noqa: E402 - experimental, hence the exact pin
