"""Who enters and who must leave: the sequences without a slot, and the rules by which they get one.

Pure: no I/O, no thread; time is passed in.

- Order: preempted sequences return before anyone new. Then round robin over fairness keys, by arrival within a key. The
  first who does not fit ends the round, so that nobody large is overtaken for ever.
- Room: committed cells (slots.py) never exceed those that exist, unless a single sequence runs, which always fits: so a
  batch never runs out. When completions grow past it, the youngest running sequence is preempted.
- Common prefixes: who shares a prefix that a running sequence is about to compute is passed over until it is computed.
  The leader computes exactly these tokens next, with the same budget that the follower would get, so waiting is never
  dearer. Less than a block is not waited for: short prompts begin together. Waiting is on running sequences only, which
  always progress, and is worked out anew from who runs: a leader that leaves leaves nobody behind.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Iterator

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.prefix_cache import LEAST_PART, Match, MissReason, PrefixCache
from seekd.engine.schedule.fairness import Rotation
from seekd.engine.schedule.plan import Admission, Release
from seekd.engine.schedule.sequence import Sequence
from seekd.engine.schedule.slots import Slots


class AdmissionQueue:
    """The waiting and the preempted sequences.

    Args:
        slots: lent to whom is admitted.
        cache: where prefixes are looked for; keeps what preempted sequences left there.
    """

    def __init__(self, slots: Slots, cache: PrefixCache) -> None:
        self._slots = slots
        self._cache = cache
        self._waiting: dict[str, deque[Sequence]] = {}
        self._preempted: list[Sequence] = []
        self._unadopted: dict[int, Admission] = {}
        self._turns = Rotation()
        self.num_waiting = 0
        self.total_preemptions = 0

    @property
    def num_preempted(self) -> int:
        """Sequences that had a slot and wait for another."""
        return len(self._preempted)

    @property
    def is_settled(self) -> bool:
        """Whether every admission was adopted."""
        return not self._unadopted

    def __iter__(self) -> Iterator[Sequence]:
        """Every sequence without a slot."""
        for queue in self._waiting.values():
            yield from queue
        yield from self._preempted

    def add(self, sequence: Sequence) -> None:
        """Let a new sequence wait for its first slot."""
        self._waiting.setdefault(sequence.request.fairness_key, deque()).append(sequence)
        self.num_waiting += 1

    def remove(self, sequence: Sequence) -> None:
        """Let go of a sequence that has ended without a slot."""
        if sequence.was_preempted:
            self._preempted.remove(sequence)
            self._forget_parked(sequence)
        else:
            self._unqueue(sequence)

    # -- entering ---------------------------------------------------------------------------------------------------

    def admit(self, now_s: float) -> list[Admission]:
        """Lend free slots to whose turn it is; each admission is to be adopted before the next call."""
        admissions: list[Admission] = []
        while self._preempted and self._slots.num_free:
            sequence = self._preempted[0]
            match = self._match(sequence)
            if not self._fits(sequence, match):
                return admissions
            self._preempted.pop(0)
            admissions.append(self._lend(sequence, match, now_s))
        while self._slots.num_free and (admission := self._admit_next(now_s)) is not None:
            admissions.append(admission)
        return admissions

    def adopt(self, admission: Admission, num_tokens: int) -> None:
        """State how many known tokens the slot of an admission holds; see `Scheduler.adopt`."""
        sequence, match = admission.sequence, admission.match
        del self._unadopted[admission.slot]
        assert match.num_slot_tokens <= num_tokens < sequence.num_tokens
        self._slots.fill(admission, num_tokens)
        self._cache.unlock(match.stored_keys)
        self._forget_parked(sequence)
        self._cache.count(match)
        self._cache.touch((*sequence.block_keys[: num_tokens // BLOCK_SIZE], *match.stored_keys[-1:]))

    def _admit_next(self, now_s: float) -> Admission | None:
        for key in self._turns.order(self._waiting):
            for sequence in self._waiting[key]:
                if self._still_waits(sequence):
                    continue
                match = self._match(sequence)
                if self._must_wait(sequence, match):
                    continue
                if not self._fits(sequence, match):
                    return None
                self._unqueue(sequence)
                self._turns.serve(key)
                return self._lend(sequence, match, now_s)
        return None

    def _match(self, sequence: Sequence) -> Match:
        limit = sequence.num_reusable if sequence.parked is None else sequence.parked.start
        match = self._cache.match(sequence.block_keys, sequence.token_ids, sequence.request.cache_salt, limit)
        return self._match_in_slots(sequence, match, limit) if self._cache.shares_parts else match

    def _match_in_slots(self, sequence: Sequence, match: Match, limit: int) -> Match:
        """The match, or one as long or longer from a single running sequence, which needs no copy from the store."""
        longest, source = match.num_tokens, None
        for holder in self._slots:
            if holder.num_computed >= longest:
                common = _common_tokens(sequence, holder, min(limit, holder.num_computed))
                if common >= max(longest, LEAST_PART):
                    longest, source = common, holder.slot
        if source is None or longest == match.num_slot_tokens:
            return match
        reason = MissReason.COMPLETE if longest == limit else MissReason.UNKNOWN
        return Match(num_tokens=longest, slot=source, num_slot_tokens=longest, reason=reason)

    def _fits(self, sequence: Sequence, match: Match) -> bool:
        num_running = len(self._slots)
        if not num_running:
            return True
        # Room for a block's growth of each running stream: without it a newcomer would be preempted at once.
        num_shared = match.num_slot_tokens // BLOCK_SIZE * BLOCK_SIZE
        need = sequence.num_tokens - num_shared + BLOCK_SIZE * num_running
        return self._slots.num_committed + need <= self._slots.num_cells

    def _lend(self, sequence: Sequence, match: Match, now_s: float) -> Admission:
        slot = self._slots.lend(sequence)
        sequence.leader = None
        if sequence.admitted_s is None:
            sequence.admitted_s = now_s
        self._cache.lock(match.stored_keys)
        admission = Admission(sequence=sequence, slot=slot, match=match)
        self._unadopted[slot] = admission
        return admission

    def _unqueue(self, sequence: Sequence) -> None:
        key = sequence.request.fairness_key
        self._waiting[key].remove(sequence)
        self.num_waiting -= 1
        if not self._waiting[key]:
            del self._waiting[key]

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
        for leader in self._slots:
            position = _common_blocks(sequence, leader, sequence.num_reusable) * BLOCK_SIZE
            # What a leader is about to adopt can be shared in the next round; later it costs cells twice.
            matched = match.num_slot_tokens if leader.slot in self._unadopted else match.num_tokens
            if position <= leader.num_computed or position <= matched or leader.is_finished:
                continue
            if self._cache.saves_snapshots:
                leader.stop_at(position)
            if self._cache.shares_parts:
                position = _common_tokens(sequence, leader, sequence.num_reusable)
            sequence.leader = leader
            sequence.leader_position = position
            return True
        return False

    # -- leaving ----------------------------------------------------------------------------------------------------

    def preempt_youngest(self) -> Release:
        """Take the slot of the youngest running sequence, which then waits to continue where it is."""
        sequence = max(self._slots, key=_arrival)
        num_held = 0
        if not self._cache.saves_snapshots:
            keys = sequence.block_keys[: sequence.num_computed_blocks]
            num_held = next((i for i, key in enumerate(keys) if not self._cache.holds(key)), len(keys))
        sequence.locked_keys = tuple(sequence.block_keys[:num_held])
        self._cache.lock(sequence.locked_keys)
        release = self._slots.take_back(sequence)
        sequence.was_preempted = True
        bisect.insort(self._preempted, sequence, key=_arrival)
        self.total_preemptions += 1
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

    def _forget_parked(self, sequence: Sequence) -> None:
        self._cache.unlock(sequence.locked_keys)
        sequence.locked_keys = ()
        sequence.parked = None

    def check_integrity(self) -> None:
        """Assert the invariants."""
        assert sum(map(len, self._waiting.values())) == self.num_waiting
        assert all(self._waiting.values())
        assert self._preempted == sorted(self._preempted, key=_arrival)
        for sequence in self:
            assert sequence.slot is None
            assert sequence.num_computed == 0


def _common_blocks(sequence: Sequence, other: Sequence, max_tokens: int) -> int:
    """Whole blocks that both begin with."""
    ours, theirs = sequence.block_keys, other.block_keys
    low = 0
    high = min(len(ours), len(theirs), max_tokens // BLOCK_SIZE)
    while low < high:  # a key stands for its whole prefix, so equality is monotonic
        middle = (low + high + 1) // 2
        if ours[middle - 1] == theirs[middle - 1]:
            low = middle
        else:
            high = middle - 1
    return low


def _common_tokens(sequence: Sequence, other: Sequence, max_tokens: int) -> int:
    """Tokens that both begin with, of the same salt."""
    if sequence.request.cache_salt != other.request.cache_salt:
        return 0
    start = _common_blocks(sequence, other, max_tokens) * BLOCK_SIZE
    end = min(start + BLOCK_SIZE, max_tokens)
    pairs = zip(sequence.token_ids[start:end], other.token_ids[start:end], strict=False)
    return start + sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _arrival(sequence: Sequence) -> int:
    return sequence.arrival
