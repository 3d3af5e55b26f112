"""The engine loop: plan, run, commit.

One thread owns everything here: the
scheduler, the prefix cache, the memory and the samplers. No sockets, no clock of its own.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.block_store import BlockStore, StoreStats
from seekd.engine.cache.prefix_cache import PrefixCache
from seekd.engine.cache.tier_index import Payload, Tier
from seekd.engine.decoding import TokenChooser
from seekd.engine.sampler import Logits
from seekd.engine.schedule.plan import Admission, Chunk, Moves, Release, StepPlan
from seekd.engine.schedule.scheduler import Scheduler
from seekd.engine.schedule.sequence import Parked
from seekd.engine.types import CacheExplanation, Constraint, ConstraintFactory, EngineRequest, EngineStats, EngineUpdate
from seekd.errors import EngineError
from seekd.vocabulary import Vocabulary

_log = logging.getLogger(__name__)


class SlotMemory(Protocol):
    """What the engine loop does with the memory of slots."""

    @property
    def is_cuttable(self) -> bool:
        """Whether parts of a slot can be saved and restored; otherwise only whole slots."""

    def share(self, source: int, target: int, num_tokens: int) -> None:
        """Let the empty slot `target` have the first tokens of `source` too."""

    def save(self, slot: int, start: int, end: int) -> bytes | bytearray:
        """The computed positions `[start, end)` of a slot; the whole slot where parts cannot be cut."""

    def restore(self, slot: int, start: int, end: int, payload: Payload) -> bool:
        """Append saved positions to a slot that ends at `start`, as far as `end`; a payload may hold more.

        Returns:
            False, and the slot is unchanged, when that is not possible.
        """

    def clear(self, slot: int) -> None:
        """Empty a slot."""


class Model(Protocol):
    """Computes batches over the slots of a memory."""

    def run(self, chunks: Sequence[Chunk]) -> bool:
        """Compute the chunks as one batch. False when the memory had no room; nothing has changed then.

        Raises:
            EngineError: the computation failed, and the memory is undefined.
        """

    def borrowed_logits(self, index: int) -> Logits:
        """The logits behind chunk `index` of the last batch, valid until the next one."""


@dataclass(slots=True, kw_only=True)
class _Counters:
    num_generation_tokens: int = 0
    num_forced_tokens: int = 0
    num_steps: int = 0
    model_s: float = 0.0
    step_s: float = 0.0


class EngineCore:
    """Serves requests step by step.

    Args:
        scheduler: owns the sequences; made with `cache`.
        cache: the prefix cache.
        memory: the slots' memory.
        model: computes.
        vocabulary: of the model.
        build_constraint: compiles grammars.
        clock: seconds on a clock that never goes back.
        store: the cache's stored tiers, for `stats` only; None when there are none.
        share_prefix_cache: whether the requests' salts are ignored.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        cache: PrefixCache,
        memory: SlotMemory,
        model: Model,
        vocabulary: Vocabulary,
        build_constraint: ConstraintFactory,
        clock: Callable[[], float],
        store: BlockStore | None = None,
        share_prefix_cache: bool = False,
    ) -> None:
        self._scheduler = scheduler
        self._cache = cache
        self._memory = memory
        self._model = model
        self._vocabulary = vocabulary
        self._build_constraint = build_constraint
        self._clock = clock
        self._share_prefix_cache = share_prefix_cache
        self._store = store
        self._choosers: dict[str, TokenChooser] = {}
        self._explanations: list[CacheExplanation] = []
        self._counters = _Counters()

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return self._scheduler.has_work

    def compile_constraint(self, request: EngineRequest) -> Constraint | None:
        """The matcher of a request's constraint. Slow at first; the one method that another thread may call.

        Raises:
            InvalidParameter: it cannot be enforced.
        """
        if request.constraint is None:
            return None
        return self._build_constraint(request.constraint.grammar, self._vocabulary)

    def check(self, request: EngineRequest, *, num_coming: int = 0) -> None:
        """Refuse what `add` would refuse now; changes nothing.

        Args:
            request: its id must not be running.
            num_coming: requests that will be added before it.

        Raises:
            ContextTooLong: the prompt does not fit.
            Overloaded: the queue is full.
            EngineError: the request makes no sense.
        """
        if not all(0 <= token_id < self._vocabulary.size for token_id in request.prompt_token_ids):
            raise EngineError("The prompt holds a token that the model does not have.")
        self._scheduler.check(request, num_coming=num_coming)

    def add(self, request: EngineRequest, constraint: Constraint | None = None) -> None:
        """Accept a request, or refuse it as `check` does.

        Args:
            request: its id must not be running.
            constraint: what `compile_constraint` returned for it.
        """
        self.check(request)
        if self._share_prefix_cache:
            request = dataclasses.replace(request, cache_salt="")
        assert (request.constraint is None) == (constraint is None), "a constraint is never dropped"
        chooser = TokenChooser(request, end_token_ids=self._vocabulary.end_token_ids, constraint=constraint)
        self._scheduler.add(request, self._clock())
        self._choosers[request.request_id] = chooser

    def abort(self, request_id: str) -> None:
        """End a request; its slot is free after the next step."""
        self._scheduler.abort(request_id)

    def step(self) -> list[EngineUpdate]:
        """Advance everybody by one batch; what it did for each request that was computed or ended.

        Raises:
            EngineError: the model failed, and this object is of no use any more.
        """
        started_s = self._clock()
        updates = self._arrange()
        plan = self._scheduler.plan()
        if plan.chunks:
            updates += self._run(plan)
        for update in updates:
            if update.finish_reason is not None:
                self._choosers.pop(update.request_id, None)
        self._counters.num_steps += 1
        self._counters.step_s += self._clock() - started_s
        return updates

    def _arrange(self) -> list[EngineUpdate]:
        updates: list[EngineUpdate] = []
        while True:
            moves = self._scheduler.arrange(self._clock())
            self._carry_out(moves)
            updates += [sequence.update() for sequence in moves.finished]
            for admission in moves.admissions:
                num_tokens = self._fill(admission)
                self._explanations.append(_explanation(admission, num_tokens))
                self._scheduler.adopt(admission, num_tokens=num_tokens)
            if not moves.admissions:
                return updates

    def _carry_out(self, moves: Moves) -> None:
        for release in moves.releases:
            self._release(release)

    def _release(self, release: Release) -> None:
        start, end = release.park_start, release.park_end
        if release.parks and start < end:
            payload = self._memory.save(release.slot, start, end)
            release.sequence.parked = Parked(start=start, end=end, payload=payload)
        self._memory.clear(release.slot)

    def _fill(self, admission: Admission) -> int:
        """Put what is known of a sequence into its slot; the number of tokens that are there then."""
        sequence, slot, match = admission.sequence, admission.slot, admission.match
        num_tokens = 0
        if match.slot is not None:
            self._memory.share(match.slot, slot, match.num_slot_tokens)
            num_tokens = match.num_slot_tokens
        for payload in self._cache.read(match.stored_keys):
            end = match.num_tokens if match.snapshot else min(num_tokens + BLOCK_SIZE, match.num_tokens)
            if payload is None or not self._memory.restore(slot, num_tokens, end, payload):
                _log.warning(
                    "A cached block could not be used", extra={"action": "cache_unusable", "start": num_tokens}
                )
                break
            num_tokens = end
        parked = sequence.parked
        if (
            parked is not None
            and num_tokens == parked.start
            and self._memory.restore(slot, parked.start, parked.end, parked.payload)
        ):
            num_tokens = parked.end
        return num_tokens

    def _run(self, plan: StepPlan) -> list[EngineUpdate]:
        started_s = self._clock()
        has_run = self._model.run(plan.chunks)
        model_s = self._clock() - started_s
        self._counters.model_s += model_s
        if not has_run:
            moves = self._scheduler.relieve()
            if moves is None:
                raise EngineError("The model's memory has no room for a single sequence.")
            self._carry_out(moves)
            return []
        chosen = [
            self._choosers[chunk.sequence.request_id].choose(self._model.borrowed_logits(index))
            if chunk.wants_logits and not chunk.sequence.is_finished
            else EngineUpdate(request_id=chunk.sequence.request_id)
            for index, chunk in enumerate(plan.chunks)
        ]
        outcome = self._scheduler.commit(plan, chosen, seconds=model_s)
        for save in outcome.saves:
            self._cache.insert(
                save.key,
                self._memory.save(save.slot, save.start, save.end),
                save.parent,
                token_ids=save.sequence.token_ids[save.start : save.end],
                salt=save.sequence.request.cache_salt,
            )
        for release in outcome.releases:
            self._release(release)
        for update in outcome.updates:
            self._counters.num_generation_tokens += len(update.token_ids)
            self._counters.num_forced_tokens += max(0, len(update.token_ids) - 1)  # one is chosen, the rest follow
        return list(outcome.updates)

    def take_explanations(self) -> list[CacheExplanation]:
        """What the cache gave to the sequences that were admitted since the last call."""
        taken, self._explanations = self._explanations, []
        return taken

    def stats(self) -> EngineStats:
        """Gauges now and counts since the start."""
        now, cache, counters = self._scheduler.stats(), self._cache.stats(), self._counters
        store = StoreStats() if self._store is None else self._store.stats()
        disk = store.disk
        return EngineStats(
            num_running=now.num_running,
            num_waiting=now.num_waiting + now.num_preempted,
            max_sequences=self._scheduler.limits.max_sequences,
            num_cells=now.num_cells,
            num_cells_used=now.num_cells_used,
            num_prompt_tokens=now.total_prompt_tokens_computed,
            num_cached_slot_tokens=cache.num_slot_tokens,
            num_cached_ram_tokens=cache.num_ram_tokens,
            num_cached_disk_tokens=cache.num_disk_tokens,
            num_generation_tokens=counters.num_generation_tokens,
            num_forced_tokens=counters.num_forced_tokens,
            num_preemptions=now.total_preemptions,
            num_steps=counters.num_steps,
            model_s=counters.model_s,
            step_s=counters.step_s,
            ram_bytes=store.ram_used_bytes,
            disk_bytes=0 if disk is None else disk.used_bytes,
            num_disk_dropped=0 if disk is None else disk.total_dropped,
        )


def _explanation(admission: Admission, num_tokens: int) -> CacheExplanation:
    sequence, match = admission.sequence, admission.match
    return CacheExplanation(
        request_id=sequence.request_id,
        num_known_tokens=sequence.num_tokens,
        num_slot_tokens=match.num_tokens_in(Tier.SLOT),
        num_ram_tokens=match.num_tokens_in(Tier.RAM),
        num_disk_tokens=match.num_tokens_in(Tier.DISK),
        num_used_tokens=num_tokens,
        reason=str(match.reason),
        queue_s=0.0 if sequence.admitted_s is None else sequence.admitted_s - sequence.arrival_s,
    )
