"""`GET /models` and `GET /models/{id}`.

Source: docs/reference/wire.md §13.1; keys that are seekd's own come last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from seekd.prompt.abilities import Abilities


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What a client is told of one model.

    Attributes:
        model_id: the name to ask for.
        display_name: for people.
        context_window: tokens of prompt and completion together.
        max_output_tokens: most tokens of one completion.
        owned_by: who made it.
        abilities: what requests may ask of it.
        is_demonstration: whether it is the bundled model, which is no DeepSeek model and knows little.
    """

    model_id: str
    display_name: str
    context_window: int
    max_output_tokens: int
    owned_by: str
    abilities: Abilities
    is_demonstration: bool = False


def models_body(cards: Sequence[ModelCard]) -> bytes:
    """The list of models."""
    return _compact({"object": "list", "data": [_item(card) for card in cards]})


def model_body(card: ModelCard) -> bytes:
    """One model."""
    return _compact(_item(card))


def _item(card: ModelCard) -> dict[str, object]:
    item: dict[str, object] = {
        "id": card.model_id,
        "object": "model",
        "owned_by": card.owned_by,
        "name": card.display_name,
        "context_window": card.context_window,
        "max_output_tokens": card.max_output_tokens,
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "effort": {"supported_levels": ["low", "high", "max"], "default_level": "high"},
        "api_capabilities": {"anthropic_messages": {"system_prompt_update": "in-history"}},
    }
    item["abilities"] = {
        "chat": card.abilities.chat,
        "thinking": card.abilities.thinking,
        "tools": card.abilities.tools,
        "json": card.abilities.chat,
        "fim": card.abilities.fim,
    }
    if card.is_demonstration:
        item["demonstration"] = True
    return item


def _compact(data: object) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
