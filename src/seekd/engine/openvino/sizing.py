"""How much memory a model takes on OpenVINO's kernels: read off its header, without loading it or OpenVINO."""

from __future__ import annotations

import math
from dataclasses import replace

from seekd.engine.llama.model_file import ModelFile
from seekd.engine.llama.sizing import plan_memory as plan_llama_memory
from seekd.engine.settings import EngineSettings, KvType
from seekd.engine.types import MemoryPlan
from seekd.errors import ConfigError

_F32, _F16, _Q4_0, _BF16 = 0, 1, 2, 30  # enum ggml_type
_BYTES_PER_WEIGHT = {_F32: 4.0, _F16: 2.0, _BF16: 2.0, _Q4_0: 18 / 32}
_BYTES_PER_RECODED_WEIGHT = 34 / 32


def plan_memory(file: ModelFile, settings: EngineSettings) -> MemoryPlan:
    """How a model is sized to this machine.

    Raises:
        ConfigError: the memory for keys and values does not hold what is asked for, or their type is not supported.
    """
    if settings.kv_type not in (KvType.F16, KvType.F32):
        raise ConfigError(
            f'engine.kv_type is "{settings.kv_type}", which OpenVINO\'s kernels do not keep here.'
            ' Use "f16" or "f32", or engine.kernels = "llama".'
        )
    return replace(plan_llama_memory(file, settings), weights_bytes=resident_bytes(file))


def resident_bytes(file: ModelFile) -> int:
    """Of the weights in memory, where codes of most widths take 8 bits."""
    return int(
        sum(
            math.prod(place.shape) * _BYTES_PER_WEIGHT.get(place.kind, _BYTES_PER_RECODED_WEIGHT)
            for place in file.tensors.values()
        )
    )
