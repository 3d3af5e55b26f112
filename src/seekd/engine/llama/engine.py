"""GGUF files as llama.cpp serves them: the engine process, the token table, and what a file's header says."""

from __future__ import annotations

import functools
from pathlib import Path

from seekd.engine.link.process import EngineProcess
from seekd.engine.llama.binding import Library
from seekd.engine.llama.devices import list_gpus
from seekd.engine.llama.model_file import ModelFile, read_model_file
from seekd.engine.llama.sizing import plan_memory
from seekd.engine.llama.vocabulary import open_vocabulary
from seekd.engine.settings import EngineSettings
from seekd.engine.types import EngineParts, MemoryPlan, ModelOutline

# enum llama_ftype of llama.h: what a file's `general.file_type` stands for.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip


def llama_engine(path: Path, settings: EngineSettings, *, cache_dir: Path | None, log_level: str) -> EngineParts:
    """See `engine.factory.make_engine`."""

    @functools.cache
    def header() -> ModelFile:
        return read_model_file(path)

    def memory() -> MemoryPlan:
        return plan_memory(header(), settings)

    return EngineParts(
        engine=EngineProcess(path, settings, cache_dir=cache_dir, log_level=log_level),
        open_vocabulary=functools.partial(open_vocabulary, path),
        outline=lambda: _outline(header()),
        plan_memory=memory,
    )


def free_gpu_bytes() -> int:
    """Free memory of the GPUs that this build of llama.cpp can compute on."""
    with Library():
        return sum(gpu.free_bytes for gpu in list_gpus())


def _outline(file: ModelFile) -> ModelOutline:
    return ModelOutline(
        name=str(file.metadata.get("general.name") or file.path.stem),
        architecture=file.architecture,
        quantization=_quantization(file),
        trained_context_length=file.number("context_length"),
        vocab_size=file.array_lengths.get("tokenizer.ggml.tokens", 0),
        size_bytes=file.size_bytes,
        metadata=file.printed_metadata,
        special_tokens=file.special_tokens,
    )


def _quantization(file: ModelFile) -> str:
    number = file.metadata.get("general.file_type")
    return "unknown" if number is None else _FILE_TYPES.get(int(number), f"type {number}")
