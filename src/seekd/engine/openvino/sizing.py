"""How much memory a model takes on OpenVINO's kernels: read off its header, without loading it or OpenVINO."""

from __future__ import annotations

import math
from dataclasses import replace

from seekd.engine.llama.model_file import ModelFile
from seekd.engine.llama.sizing import plan_memory as plan_llama_memory
from seekd.engine.openvino.shape import read_shape
from seekd.engine.settings import EngineSettings, KvType
from seekd.engine.types import MemoryPlan
from seekd.errors import ConfigError

# Bytes of a weight with its part of scales and zero points, by enum ggml_type; see weights.py.
_BYTES_PER_WEIGHT = {
    0: 4.0, 1: 2.0, 30: 2.0,  # F32, F16, BF16
    2: 18 / 32,  # Q4_0
    3: 24 / 32, 12: 24 / 32,  # Q4_1, Q4_K
    7: 40 / 32, 13: 40 / 32, 14: 40 / 32,  # Q5_1, Q5_K, Q6_K
}  # fmt: skip
_BYTES_PER_OTHER_WEIGHT = 34 / 32
_NUM_COPIES = 2  # the graph keeps its constants beside what its kernels make of them


def plan_memory(file: ModelFile, settings: EngineSettings) -> MemoryPlan:
    """How a model is sized to this machine.

    Raises:
        ConfigError: OpenVINO's kernels cannot compute the model, or not with keys and values of this type, or the
            memory for these does not hold what is asked for.
    """
    read_shape(file)
    if settings.kv_type not in (KvType.F16, KvType.F32):
        raise ConfigError(
            f'engine.kv_type is "{settings.kv_type}", which OpenVINO\'s kernels do not keep here.'
            ' Use "f16" or "f32", or engine.kernels = "llama".'
        )
    return replace(plan_llama_memory(file, settings), weights_bytes=resident_bytes(file))


def resident_bytes(file: ModelFile) -> int:
    """Of the weights in memory."""
    return int(
        _NUM_COPIES
        * sum(
            math.prod(place.shape) * _BYTES_PER_WEIGHT.get(place.kind, _BYTES_PER_OTHER_WEIGHT)
            for place in file.tensors.values()
        )
    )
