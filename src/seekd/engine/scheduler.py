"""Plans one step: who enters, who must leave, how many tokens of whom go through the model.

Room: engine. May import: errors, engine.types, engine.sequence, engine.plan, engine.prefix_cache, engine.kv_cells,
engine.fairness, engine.block_hash. Pure: no I/O, no thread; time is passed in.

Theory of operation. A sequence's computed tokens catch up with its known tokens; there are no phases. Each step is
`arrange` (until it has no more admissions), `plan`, the batch, `commit`; plan.py shows the loop.

- Cells: `num_committed` = cells used + known tokens of running sequences that are not computed yet. After `arrange`
  it never exceeds the context's cells, unless a single sequence runs, which always fits: so a batch never runs out.
  When completions grow past it, the youngest running sequence is preempted; preempted ones return before anyone new.
- Admission: round robin over fairness keys, by arrival within a key. The first who does not fit ends the round, so
  that nobody large is overtaken for ever. Who shares a prefix that a running sequence is about to compute is passed
  over until it is computed: the leader computes exactly these tokens next, with the same budget that the follower
  would get, so waiting is never dearer. Waiting is on running sequences only, which always progress, and is worked
  out anew from who runs: a leader that leaves leaves nobody behind.
- Step budget: step_budget.py.
"""

from __future__ import annotations

import bisect
import heapq
from collections import deque
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from seekd.engine.block_hash import BLOCK_SIZE, snapshot_key
from seekd.engine.fairness import Rotation
from seekd.engine.kv_cells import KvCells
from seekd.engine.plan import Admission, Chunk, ChunkResult, Moves, Release, Save, SequenceUpdate, StepOutcome, StepPlan
from seekd.engine.prefix_cache import Match, PrefixCache
from seekd.engine.sequence import Sequence
from seekd.engine.step_budget import SchedulerLimits, plan_step
from seekd.engine.types import EngineRequest, FinishReason
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
        self._cells = KvCells(limits.num_cells)
        self._sequences: dict[str, Sequence] = {}
        self._waiting: dict[str, deque[Sequence]] = {}
        self._num_waiting = 0
        self._preempted: list[Sequence] = []
        self._running: dict[int, Sequence] = {}
        self._free_slots = list(range(limits.num_slots))
        self._unadopted: dict[int, Admission] = {}
        self._ended: list[Sequence] = []
        self._admission_turns = Rotation()
        self._prompt_turns = Rotation()
        self._num_arrivals = 0
        self._total_preemptions = 0
        self._total_prompt_computed = 0
        self._total_prompt_cached = 0
        self._total_completion = 0

    # -- requests ---------------------------------------------------------------------------------------------------

    def add(self, request: EngineRequest, now_s: float) -> Sequence:
        """Accept a request into the queue.

        Args:
            request: its id must not be running or waiting.
            now_s: any clock, the one that `arrange` is given too.

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
        if self._num_waiting >= self.limits.max_waiting + len(self._free_slots):
            raise Overloaded
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
        self._waiting.setdefault(request.fairness_key, deque()).append(sequence)
        self._num_waiting += 1
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
        return tuple(sorted(self._running.values(), key=_arrival))

    def stats(self) -> SchedulerStats:
        """Gauges and counts."""
        return SchedulerStats(
            num_running=len(self._running),
            num_waiting=self._num_waiting,
            num_preempted=len(self._preempted),
            num_cells_used=self._cells.num_used,
            num_cells=self.limits.num_cells,
            total_preemptions=self._total_preemptions,
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
        assert not self._unadopted, "adopt every admission first"
        for sequence in self._sequences.values():
            deadline_s = sequence.request.deadline_s
            if deadline_s is not None and now_s - sequence.arrival_s >= deadline_s:
                self.finish(sequence.request_id, FinishReason.DEADLINE)
        finished, self._ended = self._ended, []
        releases = [release for sequence in finished if (release := self._drop(sequence)) is not None]
        while self.num_committed > self.limits.num_cells and len(self._running) > 1:
            releases.append(self._preempt_youngest())
        return Moves(releases=releases, finished=finished, admissions=self._admit(now_s))

    def relieve(self) -> Moves | None:
        """Preempt the youngest running sequence, because the memory was full against all accounts.

        Returns:
            The release to carry out before the next `plan`; None when at most one sequence runs.
        """
        return Moves(releases=[self._preempt_youngest()]) if len(self._running) > 1 else None

    def adopt(self, admission: Admission, *, num_tokens: int) -> None:
        """State how many known tokens the slot of an admission holds after it was filled.

        Args:
            admission: of the last `arrange`.
            num_tokens: what is computed there; at least the match's `num_slot_tokens`, less than the known tokens.
        """
        sequence, match, slot = admission.sequence, admission.match, admission.slot
        del self._unadopted[slot]
        assert match.num_slot_tokens <= num_tokens < sequence.num_tokens
        if match.slot is not None:
            self._cells.share(slot, match.slot, match.num_slot_tokens)
        self._cells.grow(slot, num_tokens - match.num_slot_tokens)
        self._cache.unlock(match.stored_keys)
        self._unlock(sequence)
        sequence.parked = None
        sequence.num_computed = num_tokens
        if sequence.num_cached is None:
            sequence.num_cached = num_tokens
            self._total_prompt_cached += num_tokens
        self._cache.count(match)
        self._cache.touch(sequence.block_keys[: num_tokens // BLOCK_SIZE])
        self._attach(sequence)
        sequence.stops = [stop for stop in sequence.stops if stop > num_tokens]
        if self._cache.saves_snapshots:
            self._stop_at(sequence, (sequence.num_prompt_tokens - 1) // BLOCK_SIZE * BLOCK_SIZE)

    @property
    def num_committed(self) -> int:
        """Cells used, and those that the known tokens of running sequences will need."""
        return self._cells.num_used + sum(sequence.num_uncomputed for sequence in self._running.values())

    def _admit(self, now_s: float) -> list[Admission]:
        admissions: list[Admission] = []
        while self._preempted and self._free_slots:
            sequence = self._preempted[0]
            match = self._match(sequence)
            if not self._fits(sequence, match):
                return admissions
            self._preempted.pop(0)
            admissions.append(self._lend(sequence, match, now_s))
        while self._free_slots and (admission := self._admit_next(now_s)) is not None:
            admissions.append(admission)
        return admissions

    def _admit_next(self, now_s: float) -> Admission | None:
        for key in self._admission_turns.order(self._waiting):
            for sequence in self._waiting[key]:
                if self._still_waits(sequence):
                    continue
                match = self._match(sequence)
                if self._must_wait(sequence, match):
                    continue
                if not self._fits(sequence, match):
                    return None
                self._unqueue(sequence)
                self._admission_turns.serve(key)
                return self._lend(sequence, match, now_s)
        return None

    def _match(self, sequence: Sequence) -> Match:
        limit = sequence.num_reusable if sequence.parked is None else sequence.parked.start
        return self._cache.match(sequence.block_keys, sequence.token_ids, sequence.request.cache_salt, limit)

    def _fits(self, sequence: Sequence, match: Match) -> bool:
        if not self._running:
            return True
        # Room for a block's growth of each running stream: without it a newcomer would be preempted at once.
        need = sequence.num_tokens - match.num_slot_tokens + BLOCK_SIZE * len(self._running)
        return self.num_committed + need <= self.limits.num_cells

    def _lend(self, sequence: Sequence, match: Match, now_s: float) -> Admission:
        slot = heapq.heappop(self._free_slots)
        sequence.slot = slot
        sequence.num_computed = 0
        sequence.leader = None
        if sequence.admitted_s is None:
            sequence.admitted_s = now_s
        self._running[slot] = sequence
        self._cache.lock(match.stored_keys)
        admission = Admission(sequence=sequence, slot=slot, match=match)
        self._unadopted[slot] = admission
        return admission

    # -- waiting for a common prefix ----------------------------------------------------------------------------------

    def _still_waits(self, sequence: Sequence) -> bool:
        leader = sequence.leader
        if leader is None:
            return False
        if leader.slot in self._unadopted:
            return True
        if leader.slot is not None and not leader.is_finished and leader.num_computed < sequence.leader_position:
            return True
        sequence.leader = None
        return False

    def _must_wait(self, sequence: Sequence, match: Match) -> bool:
        for leader in self._running.values():
            position = self._common_prefix(sequence, leader)
            # What a leader is about to adopt can be shared in the next round; later it costs cells twice.
            matched = match.num_slot_tokens if leader.slot in self._unadopted else match.num_tokens
            if position <= leader.num_computed or position <= matched or leader.is_finished:
                continue
            sequence.leader = leader
            sequence.leader_position = position
            self._stop_at(leader, position)
            return True
        return False

    @staticmethod
    def _common_prefix(sequence: Sequence, leader: Sequence) -> int:
        """Tokens in whole blocks that both begin with, and that the leader has still to compute or to adopt."""
        ours, theirs = sequence.block_keys, leader.block_keys
        low = 0
        high = min(len(ours), len(theirs), sequence.num_reusable // BLOCK_SIZE)
        while low < high:  # a key stands for its whole prefix, so equality is monotonic
            middle = (low + high + 1) // 2
            if ours[middle - 1] == theirs[middle - 1]:
                low = middle
            else:
                high = middle - 1
        return low * BLOCK_SIZE

    def _stop_at(self, sequence: Sequence, position: int) -> None:
        if self._cache.saves_snapshots and position > sequence.num_computed and position not in sequence.stops:
            bisect.insort(sequence.stops, position)

    # -- plan -------------------------------------------------------------------------------------------------------

    def plan(self) -> StepPlan:
        """Fill one batch; empty only when nobody runs. Changes nothing but whose turn it is."""
        assert not self._unadopted, "adopt every admission first"
        return plan_step(
            [sequence for sequence in self.running if not sequence.is_finished], self.limits, self._prompt_turns
        )

    # -- commit -----------------------------------------------------------------------------------------------------

    def commit(self, plan: StepPlan, results: SequenceOf[ChunkResult]) -> StepOutcome:
        """Take in what a batch gave.

        Args:
            plan: what was run, all of it; none of its sequences was preempted since.
            results: one for each chunk, in order.
        """
        saves: list[Save] = []
        releases: list[Release] = []
        updates: list[SequenceUpdate] = []
        for chunk, result in zip(plan.chunks, results, strict=True):
            sequence = chunk.sequence
            saves.extend(self._advance(chunk))
            if sequence.is_finished:  # aborted while the batch ran; the next `arrange` lets go of it
                continue
            accepted = self._accept(sequence, result)
            ended = sequence.finish_reason is not None
            assert ended or sequence.num_uncomputed, "a chunk with logits must give a token or an end"
            if accepted or ended:
                updates.append(
                    SequenceUpdate(sequence=sequence, token_ids=accepted, finish_reason=sequence.finish_reason)
                )
            if ended:
                saves.extend(self._final_snapshot(sequence))
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
        self._cells.grow(slot, chunk.num_tokens)
        sequence.num_computed = chunk.end
        self._total_prompt_computed += max(0, min(chunk.end, sequence.num_prompt_tokens) - chunk.start)
        if self._cache.saves_snapshots:
            if chunk.end in sequence.stops:
                sequence.stops = [stop for stop in sequence.stops if stop > chunk.end]
                yield from self._snapshot(sequence)
            return
        if sequence.num_computed_blocks > num_blocks:
            self._attach(sequence)
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

    def _accept(self, sequence: Sequence, result: ChunkResult) -> list[int]:
        accepted = list(result.token_ids[: sequence.max_num_tokens - sequence.num_tokens])
        sequence.token_ids.extend(accepted)
        self._total_completion += len(accepted)
        self._cache.extend_keys(sequence.block_keys, sequence.token_ids, sequence.request.cache_salt)
        if len(accepted) < len(result.token_ids):
            sequence.finish_reason = FinishReason.LENGTH
        elif result.finish_reason is not None:
            sequence.finish_reason = result.finish_reason
            sequence.error = result.error
        elif sequence.num_tokens >= sequence.max_num_tokens:
            sequence.finish_reason = FinishReason.LENGTH
        return accepted

    def _snapshot(self, sequence: Sequence) -> Iterator[Save]:
        slot, end = sequence.slot, sequence.num_computed
        assert slot is not None
        key = snapshot_key(sequence.block_keys, sequence.token_ids, end, sequence.request.cache_salt)
        if end and not self._cache.holds(key):
            yield Save(sequence=sequence, slot=slot, start=0, end=end, key=key, parent=None)

    def _final_snapshot(self, sequence: Sequence) -> Iterator[Save]:
        if self._cache.saves_snapshots and sequence.finish_reason is not FinishReason.ERROR:
            yield from self._snapshot(sequence)

    # -- leaving ----------------------------------------------------------------------------------------------------

    def _drop(self, sequence: Sequence) -> Release | None:
        """Forget a sequence that has ended."""
        del self._sequences[sequence.request_id]
        sequence.leader = None
        if sequence.slot is not None:
            return self._release(sequence)
        if sequence.was_preempted:
            self._preempted.remove(sequence)
            self._unlock(sequence)
            sequence.parked = None
        else:
            self._unqueue(sequence)
        return None

    def _release(self, sequence: Sequence) -> Release:
        slot = sequence.slot
        assert slot is not None
        sequence.slot = None
        del self._running[slot]
        self._cells.release(slot)
        self._cache.detach(slot)
        heapq.heappush(self._free_slots, slot)
        return Release(sequence=sequence, slot=slot)

    def _preempt_youngest(self) -> Release:
        sequence = max(self._running.values(), key=_arrival)
        num_held = 0
        if not self._cache.saves_snapshots:
            keys = sequence.block_keys[: sequence.num_computed_blocks]
            num_held = next((i for i, key in enumerate(keys) if not self._cache.holds(key)), len(keys))
        sequence.locked_keys = tuple(sequence.block_keys[:num_held])
        self._cache.lock(sequence.locked_keys)
        release = self._release(sequence)
        sequence.was_preempted = True
        bisect.insort(self._preempted, sequence, key=_arrival)
        self._total_preemptions += 1
        parked = Release(
            sequence=sequence,
            slot=release.slot,
            park_start=num_held * BLOCK_SIZE,
            park_end=sequence.num_computed,
            parks=True,
        )
        sequence.num_computed = 0
        sequence.stops = []
        return parked

    def _unlock(self, sequence: Sequence) -> None:
        self._cache.unlock(sequence.locked_keys)
        sequence.locked_keys = ()

    def _unqueue(self, sequence: Sequence) -> None:
        key = sequence.request.fairness_key
        self._waiting[key].remove(sequence)
        self._num_waiting -= 1
        if not self._waiting[key]:
            del self._waiting[key]

    def _attach(self, sequence: Sequence) -> None:
        if not self._cache.saves_snapshots and sequence.slot is not None:
            self._cache.attach(sequence.slot, sequence.block_keys[: sequence.num_computed_blocks])

    # -- integrity --------------------------------------------------------------------------------------------------

    def check_integrity(self) -> None:
        """Assert the invariants; costs a pass over every sequence."""
        self._cells.check_integrity()
        self._cache.check_integrity()
        waiting = [sequence for queue in self._waiting.values() for sequence in queue]
        assert len(waiting) == self._num_waiting
        held = {id(sequence) for sequence in (*waiting, *self._preempted, *self._running.values())}
        assert held == {id(sequence) for sequence in self._sequences.values()}
        assert len(held) == len(waiting) + len(self._preempted) + len(self._running)
        assert sorted([*self._free_slots, *self._running]) == list(range(self.limits.num_slots))
        assert self._preempted == sorted(self._preempted, key=_arrival)
        for slot, sequence in self._running.items():
            assert sequence.slot == slot
            assert sequence.num_computed < sequence.num_tokens <= sequence.max_num_tokens
            if slot not in self._unadopted:
                assert self._cells.num_tokens(slot) == sequence.num_computed
        for sequence in (*waiting, *self._preempted):
            assert sequence.slot is None
            assert sequence.num_computed == 0


def _arrival(sequence: Sequence) -> int:
    return sequence.arrival
