"""What a model file is, for `seekd models show`.

Reads only what it says of itself before it is loaded.
"""

from __future__ import annotations

from seekd.engine.factory import describe_kernels, make_engine
from seekd.engine.types import ModelOutline
from seekd.errors import ConfigError
from seekd.models.fit import Machine, fit
from seekd.models.locate import find_model_file
from seekd.models.profile import profile_of
from seekd.models.store import ModelStore
from seekd.prompt.abilities import abilities_of
from seekd.prompt.render.chat_formats import chat_format, facts_of
from seekd.prompt.types import PromptFormat
from seekd.settings import Settings


def describe_file(source: str, settings: Settings, machine: Machine) -> dict[str, object]:
    """Facts of a model file, in the order in which they are shown.

    Raises:
        ConfigError: there is no such file, or it is no model.
    """
    path = find_model_file(source, ModelStore(settings.server.models_folder))
    parts = make_engine(path, settings.engine)
    outline = parts.outline()
    facts: dict[str, object] = {
        "file": str(path),
        "name": outline.name,
        "architecture": outline.architecture,
        "quantization": outline.quantization,
        "trained_context_length": outline.trained_context_length,
        "vocabulary_size": outline.vocab_size,
        **_profile(outline, settings),
        "kernels": describe_kernels(path, settings.engine),
    }
    try:
        plan = parts.plan_memory()
    except ConfigError as error:
        return facts | {"weights_bytes": outline.size_bytes, "runs_here": f"no: {error.message}"}
    return facts | {
        "context_length": plan.context_length,
        "weights_bytes": plan.weights_bytes,
        "keys_and_values_bytes": plan.kv_bytes,
        "memory_bytes": plan.needed_bytes,
        "prefix_cache_bytes": plan.cache_bytes,
        "runs_here": fit(plan.needed_bytes, machine).value,
    }


def _profile(outline: ModelOutline, settings: Settings) -> dict[str, object]:
    profile = profile_of(outline.metadata, architecture=outline.architecture, settings=settings.model)
    facts: dict[str, object] = {
        "chat_format": profile.prompt_format,
        "temperature_mapping": profile.temperature_mapping,
    }
    try:
        found = chat_format(PromptFormat(profile.prompt_format), facts_of(outline.metadata, outline.special_tokens))
    except ConfigError as error:
        return facts | {"can_do": f"nothing: {error.message}"}
    abilities = abilities_of(found)
    return facts | {"can_do": abilities.words(), "thinking": abilities.thinking.value}
