"""What the scheduler tells the engine loop and is told back: plain data.

One step of the loop, in this order:

    moves = scheduler.arrange(now_s)
        for release in moves.releases:      if release.parks: sequence.parked = Parked(memory.save(...)) if not empty
                                            memory.clear(release.slot)
        for sequence in moves.finished:     send the last update (aborted, deadline)
        for admission in moves.admissions:  n = restore(admission); scheduler.adopt(admission, num_tokens=n)
    plan = scheduler.plan()                 plan.chunks empty: nothing to compute, wait for messages
        run the batch; sample for each chunk with wants_logits
    outcome = scheduler.commit(plan, chosen)
        for save in outcome.saves:          cache.insert(save.key, memory.save(...), parent=save.parent)
        for release in outcome.releases:    memory.clear(release.slot)
        for update in outcome.updates:      send
"""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

from seekd.engine.cache.prefix_cache import Match
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.types import EngineUpdate


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A slot that must be emptied now.

    Attributes:
        sequence: its former holder.
        slot: the slot; may be lent again by an admission of the same `Moves`.
        park_start, park_end: when `parks`, the positions to save into `sequence.parked` before the slot is emptied;
            for a memory that cannot be cut `park_start` is 0.
        parks: whether the sequence is preempted and will come back.
    """

    sequence: Sequence
    slot: int
    park_start: int = 0
    park_end: int = 0
    parks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A sequence that gets a slot and what is known of its tokens.

    The loop fills `slot` in this order: copy `[0, match.num_slot_tokens)` from `match.slot`, restore
    `match.stored_keys` (one block each, the last as far as `match.num_tokens`; or `match.snapshot`), then
    `sequence.parked` if the positions so far reach `parked.start`; it says with `adopt` how many tokens are in the
    slot. Anything that cannot be read ends the fill.

    Attributes:
        sequence: its new holder.
        slot: empty.
        match: its blocks are locked until `adopt`.
    """

    sequence: Sequence
    slot: int
    match: Match


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What must happen in memory before the next step, in the order of the fields.

    Attributes:
        finished: ended by abort or deadline; each is named exactly once.
    """

    releases: SequenceOf[Release] = ()
    finished: SequenceOf[Sequence] = ()
    admissions: SequenceOf[Admission] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Known tokens `[start, end)` of one sequence that this step computes.

    Attributes:
        wants_logits: of the last position: the step ends with all known tokens computed.
    """

    sequence: Sequence
    start: int
    end: int
    wants_logits: bool

    @property
    def num_tokens(self) -> int:
        """Tokens of the chunk, at least 1."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One batch: at most one chunk of each running sequence."""

    chunks: SequenceOf[Chunk] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens of the batch."""
        return sum(chunk.num_tokens for chunk in self.chunks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Computed tokens that the prefix cache should keep: `memory.save(slot, start, end)` under `key`.

    Attributes:
        start: 0 for a snapshot, which is the slot's whole state.
        parent: key of the block before; None for the first block and for snapshots.
    """

    sequence: Sequence
    slot: int
    start: int
    end: int
    key: bytes
    parent: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """What a step led to, in the order in which the loop must handle it: save, then empty, then tell.

    Attributes:
        saves: blocks, tails or snapshots that no stored tier holds.
        releases: slots of finished sequences.
        updates: one for each sequence that was computed and not ended from outside, in the order of the chunks; one
            whose prompt is not done got no tokens.
    """

    saves: SequenceOf[Save] = ()
    releases: SequenceOf[Release] = ()
    updates: SequenceOf[EngineUpdate] = ()
