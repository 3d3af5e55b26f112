"""Plans one step: what is computed next, and what a computed step led to.

Pure: no I/O, no thread; time is passed in.

Theory of operation. A sequence's computed tokens catch up with its known tokens; there are no phases. Each step is
`arrange` (until it has no more admissions), `plan`, the batch, `commit`; plan.py shows the loop. Who enters and who
must leave: admission.py. How a step's tokens are shared: step_budget.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from seekd.engine.cache.block_hash import BLOCK_SIZE, snapshot_key
from seekd.engine.cache.prefix_cache import PrefixCache
from seekd.engine.schedule.admission import AdmissionQueue
from seekd.engine.schedule.fairness import Rotation
from seekd.engine.schedule.plan import (
    Admission,
    Chunk,
    Moves,
    Release,
    Save,
    StepOutcome,
    StepPlan,
)
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.schedule.slots import Slots
from seekd.engine.schedule.step_budget import SchedulerLimits, plan_canonical_step, plan_step
from seekd.engine.schedule.step_cost import StepCost
from seekd.engine.types import EngineRequest, EngineUpdate, FinishReason
from seekd.errors import ContextTooLong, EngineError, Overloaded

__all__ = ["Scheduler", "SchedulerLimits", "SchedulerStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerStats:
    """Gauges now, and counts since the start (`total_*`).

    Attributes:
        total_prompt_tokens_computed: prompt tokens that went through the model, again ones included.
    """

    num_running: int
    num_waiting: int
    num_preempted: int
    num_cells_used: int
    num_cells: int
    total_preemptions: int
    total_prompt_tokens_computed: int
    total_prompt_tokens_cached: int
    total_completion_tokens: int


class Scheduler:
    """Owns every sequence from `add` to its end. Used by one thread.

    Args:
        limits: see `SchedulerLimits`.
        cache: told which slots hold what; its stored tiers are filled by the loop.
    """

    def __init__(self, limits: SchedulerLimits, cache: PrefixCache) -> None:
        self.limits = limits
        self._cache = cache
        self._slots = Slots(num_slots=limits.max_sequences, num_cells=limits.num_cells, cache=cache)
        self._queue = AdmissionQueue(self._slots, cache)
        self._sequences: dict[str, Sequence] = {}
        self._ended: list[Sequence] = []
        self._prompt_turns = Rotation()
        self._cost = StepCost()
        self._num_arrivals = 0
        self._total_prompt_computed = 0
        self._total_prompt_cached = 0
        self._total_completion = 0

    # -- requests ---------------------------------------------------------------------------------------------------

    def check(self, request: EngineRequest, *, num_coming: int = 0) -> None:
        """Refuse what `add` would refuse now; changes nothing.

        Args:
            request: its id must not be running or waiting.
            num_coming: requests that will be added before it.

        Raises:
            ContextTooLong: no room for the prompt and one completion token.
            Overloaded: the queue is full.
            EngineError: the id is taken, or there is no prompt token.
        """
        num_prompt = len(request.prompt_token_ids)
        if num_prompt >= self.limits.context_length:
            raise ContextTooLong(context_length=self.limits.context_length, num_prompt_tokens=num_prompt)
        if request.request_id in self._sequences or not num_prompt:
            raise EngineError("The request has no prompt token, or its id is taken.")
        if self._queue.num_waiting + num_coming >= self.limits.queue_limit + self._slots.num_free:
            raise Overloaded

    def add(self, request: EngineRequest, now_s: float) -> Sequence:
        """Accept a request into the queue, or refuse it as `check` does.

        Args:
            request: its id must not be running or waiting.
            now_s: any clock, the one that `arrange` is given too.
        """
        self.check(request)
        num_prompt = len(request.prompt_token_ids)
        sequence = Sequence(
            request=request,
            arrival=self._num_arrivals,
            arrival_s=now_s,
            max_num_tokens=min(num_prompt + max(request.max_tokens, 1), self.limits.context_length),
            token_ids=list(request.prompt_token_ids),
        )
        self._cache.extend_keys(sequence.block_keys, sequence.token_ids, request.cache_salt)
        self._num_arrivals += 1
        self._sequences[request.request_id] = sequence
        self._queue.add(sequence)
        return sequence

    def finish(self, request_id: str, reason: FinishReason, error: str | None = None) -> None:
        """End a sequence from outside; the next `arrange` empties its slot and names it in `Moves.finished`.

        An id that is unknown, or has ended, is ignored: an abort may cross the end on its way.
        """
        sequence = self._sequences.get(request_id)
        if sequence is None or sequence.is_finished:
            return
        sequence.finish_reason = reason
        sequence.error = error
        self._ended.append(sequence)

    def abort(self, request_id: str) -> None:
        """End a sequence because its caller went away."""
        self.finish(request_id, FinishReason.ABORT)

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._sequences)

    @property
    def running(self) -> tuple[Sequence, ...]:
        """The sequences that hold a slot, oldest first."""
        return tuple(self._slots)

    def stats(self) -> SchedulerStats:
        """Gauges and counts."""
        return SchedulerStats(
            num_running=len(self._slots),
            num_waiting=self._queue.num_waiting,
            num_preempted=self._queue.num_preempted,
            num_cells_used=self._slots.num_cells_used,
            num_cells=self._slots.num_cells,
            total_preemptions=self._queue.total_preemptions,
            total_prompt_tokens_computed=self._total_prompt_computed,
            total_prompt_tokens_cached=self._total_prompt_cached,
            total_completion_tokens=self._total_completion,
        )

    # -- arrange ----------------------------------------------------------------------------------------------------

    def arrange(self, now_s: float) -> Moves:
        """Decide who leaves and who enters. Call again after the admissions were adopted, until there are none.

        Args:
            now_s: sequences past their deadline end with `DEADLINE`.
        """
        assert self._queue.is_settled, "adopt every admission first"
        for sequence in self._sequences.values():
            deadline_s = sequence.request.deadline_s
            if deadline_s is not None and now_s - sequence.arrival_s >= deadline_s:
                self.finish(sequence.request_id, FinishReason.DEADLINE)
        finished, self._ended = self._ended, []
        releases = [release for sequence in finished if (release := self._drop(sequence)) is not None]
        while self._slots.num_committed > self._slots.num_cells and len(self._slots) > 1:
            releases.append(self._queue.preempt_youngest())
        return Moves(releases=releases, finished=finished, admissions=self._queue.admit(now_s))

    def relieve(self) -> Moves | None:
        """Preempt the youngest running sequence, because the memory was full against all accounts.

        Returns:
            The release to carry out before the next `plan`; None when at most one sequence runs.
        """
        return Moves(releases=[self._queue.preempt_youngest()]) if len(self._slots) > 1 else None

    def adopt(self, admission: Admission, *, num_tokens: int) -> None:
        """State how many known tokens the slot of an admission holds after it was filled.

        Args:
            admission: of the last `arrange`.
            num_tokens: what is computed there; at least the match's `num_slot_tokens`, less than the known tokens.
        """
        sequence = admission.sequence
        self._queue.adopt(admission, num_tokens)
        if sequence.num_cached is None:
            sequence.num_cached = num_tokens
            self._total_prompt_cached += num_tokens
        sequence.stops = [stop for stop in sequence.stops if stop > num_tokens]
        if self._cache.saves_snapshots:
            sequence.stop_at((sequence.num_prompt_tokens - 1) // BLOCK_SIZE * BLOCK_SIZE)

    # -- plan -------------------------------------------------------------------------------------------------------

    def plan(self) -> StepPlan:
        """Fill one batch; empty only when nobody runs. Changes nothing but whose turn it is."""
        assert self._queue.is_settled, "adopt every admission first"
        sequences = [sequence for sequence in self.running if not sequence.is_finished]
        if self.limits.is_canonical:
            return plan_canonical_step(sequences, self.limits, self._prompt_turns)
        return plan_step(
            sequences,
            self.limits,
            self._prompt_turns,
            relative_cost=self._cost.relative_cost(self._slots.num_cells_used),
        )

    # -- commit -----------------------------------------------------------------------------------------------------

    def commit(self, plan: StepPlan, chosen: SequenceOf[EngineUpdate], *, seconds: float = 0.0) -> StepOutcome:
        """Take in what a batch gave.

        Args:
            plan: what was run, all of it; none of its sequences was preempted since.
            chosen: for each chunk, in order, the tokens or the end that follow it; nothing where it wanted no logits.
                The scheduler finds LENGTH itself.
            seconds: that the model took; 0 when nobody measured.
        """
        if seconds > 0:
            self._cost.observe(num_tokens=plan.num_tokens, num_cells=self._slots.num_cells_used, seconds=seconds)
        saves: list[Save] = []
        releases: list[Release] = []
        updates: list[EngineUpdate] = []
        for chunk, one in zip(plan.chunks, chosen, strict=True):
            sequence = chunk.sequence
            saves.extend(self._advance(chunk))
            if sequence.is_finished:  # aborted while the batch ran; the next `arrange` lets go of it
                continue
            update = self._accept(sequence, one)
            ended = sequence.finish_reason is not None
            assert ended or sequence.num_uncomputed, "a chunk with logits must give a token or an end"
            updates.append(update)
            if ended:
                saves.extend(self._last_save(sequence))
                release = self._drop(sequence)
                assert release is not None
                releases.append(release)
        return StepOutcome(saves=saves, releases=releases, updates=updates)

    def _advance(self, chunk: Chunk) -> Iterator[Save]:
        sequence = chunk.sequence
        slot = sequence.slot
        assert slot is not None
        assert sequence.num_computed == chunk.start
        num_blocks = sequence.num_computed_blocks
        self._slots.grow(sequence, chunk.num_tokens)
        prompt_end = min(chunk.end, sequence.num_prompt_tokens)
        self._total_prompt_computed += max(0, prompt_end - chunk.start)
        sequence.num_prompt_reached = max(sequence.num_prompt_reached, prompt_end)
        if self._cache.saves_snapshots:
            if chunk.end in sequence.stops:
                sequence.stops = [stop for stop in sequence.stops if stop > chunk.end]
                yield from self._snapshot(sequence)
            return
        for index in range(num_blocks, min(sequence.num_computed_blocks, len(sequence.block_keys))):
            key = sequence.block_keys[index]
            if not self._cache.holds(key):
                yield Save(
                    sequence=sequence,
                    slot=slot,
                    start=index * BLOCK_SIZE,
                    end=(index + 1) * BLOCK_SIZE,
                    key=key,
                    parent=sequence.block_keys[index - 1] if index else None,
                )
        if chunk.start < sequence.num_prompt_tokens <= chunk.end:
            # One less than the prompt: a twin of it computes its last token again, whose logits it needs.
            yield from self._tail(sequence, sequence.num_prompt_tokens - 1)

    def _accept(self, sequence: Sequence, chosen: EngineUpdate) -> EngineUpdate:
        accepted = chosen.token_ids[: sequence.max_num_tokens - sequence.num_tokens]
        sequence.token_ids.extend(accepted)
        self._total_completion += len(accepted)
        if not self.limits.is_canonical:  # a prompt that holds this answer would not be computed token by token
            self._cache.extend_keys(sequence.block_keys, sequence.token_ids, sequence.request.cache_salt)
        if len(accepted) < len(chosen.token_ids):
            sequence.finish_reason = FinishReason.LENGTH
        elif chosen.finish_reason is not None:
            sequence.finish_reason = chosen.finish_reason
            sequence.error = chosen.error
        elif sequence.num_tokens >= sequence.max_num_tokens:
            sequence.finish_reason = FinishReason.LENGTH
        logprobs = None if chosen.logprobs is None else chosen.logprobs[: len(accepted)]
        return sequence.update(accepted, logprobs=logprobs)

    def _snapshot(self, sequence: Sequence) -> Iterator[Save]:
        slot, end = sequence.slot, sequence.num_computed
        assert slot is not None
        key = snapshot_key(sequence.block_keys, sequence.token_ids, end, sequence.request.cache_salt)
        if end and not self._cache.holds(key):
            yield Save(sequence=sequence, slot=slot, start=0, end=end, key=key, parent=None)

    def _last_save(self, sequence: Sequence) -> Iterator[Save]:
        if sequence.finish_reason is FinishReason.ERROR:
            return
        yield from (
            self._snapshot(sequence) if self._cache.saves_snapshots else self._tail(sequence, sequence.num_computed)
        )

    def _tail(self, sequence: Sequence, end: int) -> Iterator[Save]:
        """Keep what is computed from the last border of a block before a position up to that position."""
        slot, num_blocks = sequence.slot, end // BLOCK_SIZE
        assert slot is not None
        start = num_blocks * BLOCK_SIZE
        if not self._cache.shares_parts or start == end:
            return
        key = snapshot_key(sequence.block_keys, sequence.token_ids, end, sequence.request.cache_salt)
        if not self._cache.holds(key):
            parent = sequence.block_keys[num_blocks - 1] if num_blocks else None
            yield Save(sequence=sequence, slot=slot, start=start, end=end, key=key, parent=parent)

    # -- leaving ----------------------------------------------------------------------------------------------------

    def _drop(self, sequence: Sequence) -> Release | None:
        """Forget a sequence that has ended."""
        del self._sequences[sequence.request_id]
        sequence.leader = None
        if sequence.slot is not None:
            return self._slots.take_back(sequence)
        self._queue.remove(sequence)
        return None

    def check_integrity(self) -> None:
        """Assert the invariants; costs a pass over every sequence."""
        self._cache.check_integrity()
        self._queue.check_integrity()
        if self._queue.is_settled:
            self._slots.check_integrity()
        held = [id(sequence) for sequence in (*self._queue, *self._slots)]
        assert len(held) == len(set(held))
        assert set(held) == {id(sequence) for sequence in self._sequences.values()}
