"""What a user may choose about a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seekd.config import ByteSize

BUNDLED_MODEL = "bundled"

FormatName = Literal[
    "deepseek-v4.1",
    "deepseek-v4",
    "deepseek-v3.2",
    "deepseek-v3.2-speciale",
    "deepseek-v3.1",
    "deepseek-v3",
    "deepseek-r1",
    "deepseek-r1-0528",
    "deepseek-v2.5",
    "template",
    "completion",
]
"""The chat layouts: families of DeepSeek's models, the model file's own template, or none at all."""

PromptFormatName = Literal["auto", FormatName]
TemperatureMappingName = Literal["auto", "none", "v3"]

LongConversationName = Literal["refuse", "drop", "summarise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Which model answers the names that `[models]` does not map to others.

    Attributes:
        source: `bundled`, a name that `seekd models list` shows, the path of a GGUF file, or
            `hf:OWNER/REPO:FILE`. None takes the bundled one; where there are `[models]`, it takes none, and only the
            names there are answered.
        prompt_format: the chat layout; `auto` reads it off the model file.
        temperature_mapping: how the API's temperature becomes the model's; `auto` reads it off the model file.
        long_conversations: what becomes of a conversation that leaves no room for its answer: `refuse` it, `drop` the
            oldest turns, or `summarise` them with the model itself. An account's choice and a request's
            `X-Seekd-Context` win.
        memory_budget: of all loaded models together, with their keys and values and prefix caches; the least recently
            used one is unloaded when another needs its room. None takes three quarters of the machine's memory.
        router: name of the extension that chooses the model of each request among `[models]`; None for none.
    """

    source: str | None = None
    prompt_format: PromptFormatName = "auto"
    temperature_mapping: TemperatureMappingName = "auto"
    long_conversations: LongConversationName = "refuse"
    memory_budget: ByteSize | None = None
    router: str | None = None
