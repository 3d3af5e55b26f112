"""How much memory a model file takes, and how many of its layers go to a GPU: read off its header, without loading it.

No ctypes.
"""

from __future__ import annotations

from pathlib import Path

from seekd.engine.llama.model_file import ModelFile
from seekd.engine.settings import EngineSettings, KvType, default_cache_ram, memory_bytes
from seekd.engine.types import MemoryPlan
from seekd.errors import ConfigError

_CELL_ROUNDING = 256  # llama.cpp pads a context to this
_BYTES_PER_ELEMENT = {KvType.F32: 4.0, KvType.F16: 2.0, KvType.Q8_0: 34 / 32}
_BUFFER_BYTES = 256 << 20  # llama.cpp's scratch memory and the process around it, roughly
_GPU_SPARE_BYTES = 768 << 20  # scratch memory on the card, and what its desktop uses
_FOR_EACH = " for each of engine.max_sequences (engine.deterministic keeps them apart)"
_NAME_OF_FIRST_PART = "-00001-of-"


def plan_memory(file: ModelFile, settings: EngineSettings) -> MemoryPlan:
    """How a model is sized to this machine.

    Raises:
        ConfigError: the memory for keys and values does not hold what is asked for.
    """
    per_token = kv_bytes_per_token(file, settings.kv_type)
    budget = settings.kv_memory if settings.kv_memory is not None else memory_bytes() // 8
    affordable = int(budget / per_token) // _CELL_ROUNDING * _CELL_ROUNDING
    if settings.deterministic:  # a context for each sequence
        affordable = affordable // settings.max_sequences // _CELL_ROUNDING * _CELL_ROUNDING
    wanted = settings.context_length or file.number("context_length") or _CELL_ROUNDING
    if affordable < min(wanted, _CELL_ROUNDING) or (settings.context_length and affordable < wanted):
        raise ConfigError(
            f"engine.kv_memory ({int(budget) >> 20} MiB) holds {affordable} tokens of this model"
            f"{_FOR_EACH if settings.deterministic else ''},"
            f" but {wanted} are asked for; raise it or lower engine.context_length."
        )
    context_length = min(wanted, affordable)
    rounded = -(-context_length // _CELL_ROUNDING) * _CELL_ROUNDING
    # Few sequences fill their context, and those that do not fit are preempted to RAM and resumed.
    num_contexts = settings.max_sequences if settings.kv_memory is not None else min(4, settings.max_sequences)
    num_cells = rounded * settings.max_sequences if settings.deterministic else min(affordable, rounded * num_contexts)
    rows = (settings.max_sequences + 1) * file.array_lengths.get("tokenizer.ggml.tokens", 0) * 4
    return MemoryPlan(
        context_length=context_length,
        num_cells=num_cells,
        weights_bytes=weights_bytes(file),
        kv_bytes=int(num_cells * per_token),
        buffers_bytes=_BUFFER_BYTES + rows,
        cache_bytes=default_cache_ram() if settings.cache_ram is None else settings.cache_ram,
    )


def kv_bytes_per_token(file: ModelFile, kv_type: KvType) -> float:
    """Bytes of keys and values of one token position in all layers, from the header; at least what llama.cpp takes.

    Memories of a fixed size (recurrent ones) are counted as if they grew, which is too much and harmless.
    """
    layers = file.number("block_count") or 1
    heads = file.number("attention.head_count") or 1
    kv_heads = file.number("attention.head_count_kv") or heads
    head_size = (file.number("embedding_length") or 64) // heads
    width = (file.number("attention.key_length") or head_size) + (file.number("attention.value_length") or head_size)
    return layers * kv_heads * width * _BYTES_PER_ELEMENT[kv_type]


def gpu_layers(file: ModelFile, settings: EngineSettings, *, gpu_bytes: int) -> int:
    """How many layers of a model the GPUs hold: what the user says, else as many as fit with their keys and values.

    llama.cpp counts the output layer as one more. Layers are taken to be of equal size.

    Args:
        file: of the model.
        settings: of its engine.
        gpu_bytes: free memory of all GPUs together; 0 without one.
    """
    if settings.gpu_layers is not None:
        return settings.gpu_layers
    num_layers = (file.number("block_count") or 1) + 1
    plan = plan_memory(file, settings)
    per_layer = (plan.weights_bytes + plan.kv_bytes) / num_layers
    return max(0, min(num_layers, int((gpu_bytes - _GPU_SPARE_BYTES) / per_layer)))


def weights_bytes(file: ModelFile) -> int:
    """Size of the file, and of its other parts where it is the first of several."""
    found = parts(file)
    return file.size_bytes if len(found) == 1 else sum(path.stat().st_size for path in found)


def parts(file: ModelFile) -> list[Path]:
    """The file, and its other parts that are there where it is the first of several."""
    num_parts = int(file.metadata.get("split.count", 1) or 1)
    if num_parts <= 1 or _NAME_OF_FIRST_PART not in file.path.name:
        return [file.path]
    names = [file.path.name.replace(_NAME_OF_FIRST_PART, f"-{number:05}-of-") for number in range(1, num_parts + 1)]
    return [path for name in names if (path := file.path.with_name(name)).is_file()]
