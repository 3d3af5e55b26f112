"""What an operator is told of the models: where they are, what they do, what their prefix cache holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seekd.service.model_pool import Member


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One model now, and counts since its engine started (`…_total`).

    Attributes:
        name: as in the labels of `/metrics`.
        served_names: that requests ask for it by; none for the model that answers every other name.
        state: `away`, `loading` or `loaded`.
        reason: why it cannot be loaded; None where nothing is wrong.
        memory_bytes: that it takes, estimated.
        context_length: tokens of one conversation; None where its file cannot be read.
        running: sequences with a slot.
        waiting: sequences without one.
        slots: how many there are.
        memory_used: share of the memory of running sequences, 0 to 1.
        cache_ram_bytes: held by the prefix cache in memory.
        cache_disk_bytes: held by it on disk.
        prompt_tokens_total: computed.
        cached_tokens_total: of prompts, not computed.
        completion_tokens_total: generated.
        engine_restarts_total: after a death or a hang.
    """

    name: str
    served_names: tuple[str, ...]
    state: str
    reason: str | None
    memory_bytes: int
    context_length: int | None
    running: int
    waiting: int
    slots: int
    memory_used: float
    cache_ram_bytes: int
    cache_disk_bytes: int
    prompt_tokens_total: int
    cached_tokens_total: int
    completion_tokens_total: int
    engine_restarts_total: int


def model_views(members: Sequence[Member]) -> list[ModelView]:
    """One view a model, in the order of the settings."""
    return [_view(member) for member in members]


def _view(member: Member) -> ModelView:
    engine = member.model.engine
    stats = engine.stats
    return ModelView(
        name=member.key,
        served_names=member.names,
        state=member.residence.value,
        reason=None if member.failure is None else member.failure[0].message,
        memory_bytes=member.need_bytes,
        context_length=None if member.outline is None else member.outline.context_length,
        running=stats.num_running,
        waiting=stats.num_waiting + member.num_waiting,
        slots=stats.max_sequences,
        memory_used=stats.num_cells_used / stats.num_cells if stats.num_cells else 0.0,
        cache_ram_bytes=stats.ram_bytes,
        cache_disk_bytes=stats.disk_bytes,
        prompt_tokens_total=stats.num_prompt_tokens,
        cached_tokens_total=stats.num_cached_slot_tokens + stats.num_cached_ram_tokens + stats.num_cached_disk_tokens,
        completion_tokens_total=stats.num_generation_tokens,
        engine_restarts_total=engine.num_restarts,
    )
