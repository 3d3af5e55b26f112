"""One token stream and its counters.

Pure.

    known tokens      0 ........ num_prompt_tokens ........ num_tokens
    computed tokens   0 ................. num_computed
    adopted           0 ... num_cached (once, at the first admission)

A sequence has no phase: its computed tokens catch up with its known tokens, and when they have, the model says what
comes next. Invariant between steps: `num_computed < num_tokens` until it is finished.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.tier_index import Payload
from seekd.engine.types import EngineRequest, EngineUpdate, FinishReason, TokenLogprobs


class SequenceState(enum.StrEnum):
    """Where a sequence is in its life; derived, never stored."""

    WAITING = "waiting"  # accepted, has never had a slot
    RUNNING = "running"  # has a slot
    PREEMPTED = "preempted"  # had a slot and waits for another
    FINISHED = "finished"  # has a finish reason; may still hold a slot until the next `arrange`


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """What a preempted sequence took out of its slot and the prefix cache does not hold.

    Attributes:
        start: first position held; every position before it is in locked blocks of the prefix cache.
        end: one past the last.
        payload: what the memory's `save` returned for `[start, end)`.
    """

    start: int
    end: int
    payload: Payload


@dataclass(slots=True, kw_only=True, eq=False)
class Sequence:
    """One token stream being extended. Mutated by the scheduler only, except `parked`.

    Attributes:
        request: what was asked.
        arrival: position in the order of arrival, unique.
        arrival_s: when it arrived, on the clock that the scheduler is given.
        max_num_tokens: known tokens at which it is finished with `LENGTH`.
        token_ids: the known tokens, prompt first.
        block_keys: keys of whole blocks of the known tokens; empty when nothing is cached.
        num_computed: tokens whose keys and values are in the slot.
        num_cached: prompt tokens that the first admission adopted; None before it.
        num_prompt_reached: prompt tokens up to the last one that was computed; a preemption does not lower it.
        slot: llama.cpp sequence id on loan.
        admitted_s: when it got its first slot.
        was_preempted: whether it has lost a slot.
        parked: set by the loop when it empties the slot of a preempted sequence, cleared at resumption.
        locked_keys: blocks that the prefix cache keeps for a preempted sequence.
        finish_reason: None while it goes on.
        error: for the user, when finish_reason is ERROR.
        stops: positions at which a chunk must end because a snapshot is taken there, ascending.
        leader: the running sequence that is computing a prefix this one waits for.
        leader_position: number of the leader's tokens that end the wait.
    """

    request: EngineRequest
    arrival: int
    arrival_s: float
    max_num_tokens: int
    token_ids: list[int]
    block_keys: list[bytes] = field(default_factory=list)
    num_computed: int = 0
    num_cached: int | None = None
    num_prompt_reached: int = 0
    slot: int | None = None
    admitted_s: float | None = None
    was_preempted: bool = False
    parked: Parked | None = None
    locked_keys: tuple[bytes, ...] = ()
    finish_reason: FinishReason | None = None
    error: str | None = None
    stops: list[int] = field(default_factory=list)
    leader: Sequence | None = None
    leader_position: int = 0

    @property
    def request_id(self) -> str:
        """Of the request."""
        return self.request.request_id

    @property
    def num_prompt_tokens(self) -> int:
        """Given tokens."""
        return len(self.request.prompt_token_ids)

    @property
    def num_tokens(self) -> int:
        """Known tokens: prompt and completion."""
        return len(self.token_ids)

    @property
    def num_completion_tokens(self) -> int:
        """Generated tokens."""
        return self.num_tokens - self.num_prompt_tokens

    @property
    def completion_token_ids(self) -> list[int]:
        """The generated tokens; a copy."""
        return self.token_ids[self.num_prompt_tokens :]

    @property
    def num_prompt_computed(self) -> int:
        """Prompt tokens that were computed, each counted once."""
        return max(0, self.num_prompt_reached - (self.num_cached or 0))

    @property
    def num_uncomputed(self) -> int:
        """Known tokens that have not been through the model."""
        return self.num_tokens - self.num_computed

    @property
    def num_computed_blocks(self) -> int:
        """Whole blocks in the slot."""
        return self.num_computed // BLOCK_SIZE

    @property
    def num_reusable(self) -> int:
        """Most tokens that may come from a cache: at least one is computed, since its logits are needed."""
        return self.num_tokens - 1

    @property
    def is_finished(self) -> bool:
        """Whether it has a finish reason."""
        return self.finish_reason is not None

    @property
    def state(self) -> SequenceState:
        """Where it is in its life."""
        if self.finish_reason is not None:
            return SequenceState.FINISHED
        if self.slot is not None:
            return SequenceState.RUNNING
        return SequenceState.PREEMPTED if self.was_preempted else SequenceState.WAITING

    def update(
        self, token_ids: SequenceOf[int] = (), *, logprobs: SequenceOf[TokenLogprobs] | None = None
    ) -> EngineUpdate:
        """What a step did for it: the tokens that it got, with its progress and its end."""
        return EngineUpdate(
            request_id=self.request_id,
            token_ids=token_ids,
            logprobs=logprobs,
            finish_reason=self.finish_reason,
            num_cached_tokens=self.num_cached or 0,
            num_computed_tokens=self.num_prompt_computed,
            error=self.error,
        )

    def stop_at(self, position: int) -> None:
        """Let a chunk end at a position that is not computed yet, because a snapshot is wanted there."""
        if position > self.num_computed and position not in self.stops:
            bisect.insort(self.stops, position)
