"""What a user may choose about a model.

Room: models. May import: config, errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seekd.config import ByteSize

BUNDLED_MODEL = "bundled"

PromptFormatName = Literal["auto", "deepseek-v4.1", "deepseek-v4"]
TemperatureMappingName = Literal["auto", "none", "v3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model answers the names that `[models]` does not map to others.

    Attributes:
        source: `bundled`, a name that `seekd models list` shows, the path of a GGUF file, or
            `hf:OWNER/REPO:FILE`. None takes the bundled one; where there are `[models]`, it takes none, and only the
            names there are answered.
        prompt_format: `auto` reads it off the model file.
        temperature_mapping: how the API's temperature becomes the model's; `auto` reads it off the model file.
        memory_budget: of all loaded models together, with their keys and values and prefix caches; the least recently
            used one is unloaded when another needs its room. None takes three quarters of the machine's memory.
    """

    source: str | None = None
    prompt_format: PromptFormatName = "auto"
    temperature_mapping: TemperatureMappingName = "auto"
    memory_budget: ByteSize | None = None
