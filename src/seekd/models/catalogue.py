"""Which file a model name stands for, and how that model wants to be spoken to.

Room: models. May import: config, errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from seekd.errors import ConfigError

BUNDLED_MODEL = "bundled"

TemperatureMapping = Literal["none", "v3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model answers.

    Attributes:
        source: `bundled`, or the path of a GGUF file.
        prompt_format: `auto` reads it off the model file.
        temperature_mapping: how the API's temperature becomes the model's; `auto` reads it off the model file.
    """

    source: str = BUNDLED_MODEL
    prompt_format: Literal["auto", "deepseek-v4.1", "deepseek-v4"] = "auto"
    temperature_mapping: Literal["auto", "none", "v3"] = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """How to speak to a loaded model.

    Attributes:
        prompt_format: the chat layout that it was trained on.
        temperature_mapping: see `map_temperature`.
        is_demonstration: small enough that its answers are for trying things out, not for use.
    """

    prompt_format: str
    temperature_mapping: TemperatureMapping
    is_demonstration: bool


def find_model_file(source: str) -> Path:
    """The GGUF file that a model name stands for.

    Raises:
        ConfigError: there is no such file.
    """
    if source == BUNDLED_MODEL:
        return Path(str(resources.files("seekd.models") / "bundled" / "seekd-demo.gguf"))
    path = Path(source).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"The model file {source} does not exist. Give the path of a GGUF file, or '{BUNDLED_MODEL}' for the model "
            "that comes with seekd."
        )
    return path.resolve()


def profile_of(metadata: Mapping[str, str], *, architecture: str, settings: ModelSettings) -> ModelProfile:
    """Read off a model file's metadata how to speak to it; explicit settings win.

    Raises:
        ConfigError: the chat layout is not one that seekd knows.
    """
    prompt_format = settings.prompt_format
    if prompt_format == "auto":
        prompt_format = _detect_format(metadata, architecture)
    mapping = settings.temperature_mapping
    if mapping == "auto":
        mapping = "v3" if metadata.get("seekd.temperature_mapping") == "v3" else "none"
    return ModelProfile(
        prompt_format=prompt_format,
        temperature_mapping=mapping,
        is_demonstration=metadata.get("seekd.demo", "").lower() == "true",
    )


def _detect_format(metadata: Mapping[str, str], architecture: str) -> Literal["deepseek-v4.1", "deepseek-v4"]:
    declared = metadata.get("seekd.prompt_format")
    if declared == "deepseek-v4.1":
        return "deepseek-v4.1"
    if declared == "deepseek-v4" or architecture == "deepseek4":
        return "deepseek-v4"
    template = metadata.get("tokenizer.chat_template", "")
    if "DSML" in template or "dsml_token" in template:
        return "deepseek-v4.1" if "<｜System｜>" in template else "deepseek-v4"
    raise ConfigError(
        f"The chat layout of this {architecture or 'model'} file is not known. Name it with [model] prompt_format "
        "(deepseek-v4.1 or deepseek-v4)."
    )


def map_temperature(temperature: float, mapping: TemperatureMapping) -> float:
    """The model's temperature for a temperature on the API's scale of 0 to 2.

    Source: model card of DeepSeek-V3-0324, which samples at 0.3 where the API says 1.0.
    """
    return _MAPPINGS[mapping](temperature)


_MAPPINGS: Mapping[TemperatureMapping, Callable[[float], float]] = {
    "none": lambda temperature: temperature,
    "v3": lambda temperature: 0.3 * temperature if temperature <= 1 else temperature - 0.7,
}
