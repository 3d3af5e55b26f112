"""What a model file is, for `seekd models show`.

Reads the file's header only.
"""

from __future__ import annotations

from seekd.engine.llama.model_file import ModelFile, read_model_file
from seekd.engine.llama.sizing import plan_memory
from seekd.errors import ConfigError
from seekd.models.fit import Machine, fit
from seekd.models.locate import find_model_file
from seekd.models.profile import profile_of
from seekd.models.store import ModelStore
from seekd.prompt.abilities import abilities_of
from seekd.prompt.render.chat_formats import chat_format, facts_of
from seekd.prompt.types import PromptFormat
from seekd.settings import Settings

# enum llama_ftype of llama.h: what a file's `general.file_type` stands for.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
}  # fmt: skip


def describe_file(source: str, settings: Settings, machine: Machine) -> dict[str, object]:
    """Facts of a model file, in the order in which they are shown.

    Raises:
        ConfigError: there is no such file, or it is no model.
    """
    path = find_model_file(source, ModelStore(settings.server.models_folder))
    file = read_model_file(path)
    facts: dict[str, object] = {
        "file": str(path),
        "name": file.metadata.get("general.name", path.stem),
        "architecture": file.architecture,
        "quantization": _quantization(file),
        "trained_context_length": file.number("context_length"),
        "vocabulary_size": file.array_lengths.get("tokenizer.ggml.tokens", 0),
        **_profile(file, settings),
    }
    try:
        plan = plan_memory(file, settings.engine)
    except ConfigError as error:
        return facts | {"weights_bytes": file.size_bytes, "runs_here": f"no: {error.message}"}
    return facts | {
        "context_length": plan.context_length,
        "weights_bytes": plan.weights_bytes,
        "keys_and_values_bytes": plan.kv_bytes,
        "memory_bytes": plan.needed_bytes,
        "prefix_cache_bytes": plan.cache_bytes,
        "runs_here": fit(plan.needed_bytes, machine).value,
    }


def _profile(file: ModelFile, settings: Settings) -> dict[str, object]:
    metadata = file.printed_metadata
    profile = profile_of(metadata, architecture=file.architecture, settings=settings.model)
    facts: dict[str, object] = {
        "chat_format": profile.prompt_format,
        "temperature_mapping": profile.temperature_mapping,
    }
    try:
        found = chat_format(PromptFormat(profile.prompt_format), facts_of(metadata, file.special_tokens))
    except ConfigError as error:
        return facts | {"can_do": f"nothing: {error.message}"}
    abilities = abilities_of(found)
    return facts | {"can_do": abilities.words(), "thinking": abilities.thinking.value}


def _quantization(file: ModelFile) -> str:
    number = file.metadata.get("general.file_type")
    return "unknown" if number is None else _FILE_TYPES.get(int(number), f"type {number}")
