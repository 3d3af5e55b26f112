"""How a model wants to be spoken to, read off its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from seekd.models.detection import detect_format
from seekd.models.settings import FormatName, ModelSettings

TemperatureMapping = Literal["none", "v3"]

_V3_NAME = re.compile(r"deepseek[ _-]?v3(?![.\d])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """How to speak to a loaded model.

    Attributes:
        prompt_format: the chat layout that it was trained on.
        temperature_mapping: see `map_temperature`.
        is_demonstration: small enough that its answers are for trying things out, not for use.
    """

    prompt_format: FormatName
    temperature_mapping: TemperatureMapping
    is_demonstration: bool


def profile_of(metadata: Mapping[str, str], *, architecture: str, settings: ModelSettings) -> ModelProfile:
    """Read off a model file's metadata how to speak to it; explicit settings win."""
    prompt_format = settings.prompt_format
    if prompt_format == "auto":
        prompt_format = detect_format(metadata, architecture)
    mapping = settings.temperature_mapping
    if mapping == "auto":
        mapping = "v3" if metadata.get("seekd.temperature_mapping") == "v3" or _is_v3(metadata) else "none"
    return ModelProfile(
        prompt_format=prompt_format,
        temperature_mapping=mapping,
        is_demonstration=metadata.get("seekd.demo", "").lower() == "true",
    )


def _is_v3(metadata: Mapping[str, str]) -> bool:
    """Whether it is V3 or V3-0324, whose maker states the mapping; neither their successors nor R1."""
    return any(_V3_NAME.search(metadata.get(key, "")) for key in ("general.name", "general.basename"))


def map_temperature(temperature: float, mapping: TemperatureMapping) -> float:
    """The model's temperature for a temperature on the API's scale of 0 to 2.

    Source: model card of DeepSeek-V3-0324, which samples at 0.3 where the API says 1.0.
    """
    return _MAPPINGS[mapping](temperature)


_MAPPINGS: Mapping[TemperatureMapping, Callable[[float], float]] = {
    "none": lambda temperature: temperature,
    "v3": lambda temperature: 0.3 * temperature if temperature <= 1 else temperature - 0.7,
}
