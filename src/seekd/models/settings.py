"""What a user may choose about a model.

Room: models. May import: config, errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BUNDLED_MODEL = "bundled"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model answers.

    Attributes:
        source: `bundled`, a name that `seekd models list` shows, the path of a GGUF file, or `hf:OWNER/REPO:FILE`.
        prompt_format: `auto` reads it off the model file.
        temperature_mapping: how the API's temperature becomes the model's; `auto` reads it off the model file.
    """

    source: str = BUNDLED_MODEL
    prompt_format: Literal["auto", "deepseek-v4.1", "deepseek-v4"] = "auto"
    temperature_mapping: Literal["auto", "none", "v3"] = "auto"
