"""The slots that sequences run in: who holds which, how many cells that takes, what the prefix cache is told of it.

Pure.

A slot is free, or lent to one sequence; its cells are those of the tokens that are computed there.

    committed = cells used + known tokens of running sequences that are not computed yet
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.prefix_cache import PrefixCache
from seekd.engine.schedule.kv_cells import KvCells
from seekd.engine.schedule.plan import Admission, Release
from seekd.engine.schedule.sequence import Sequence


class Slots:
    """Lends slots and counts cells.

    Args:
        num_slots: how many there are.
        num_cells: of the unified memory.
        cache: told which slot holds which blocks.
    """

    def __init__(self, *, num_slots: int, num_cells: int, cache: PrefixCache) -> None:
        self.num_slots = num_slots
        self._cache = cache
        self._cells = KvCells(num_cells)
        self._holders: dict[int, Sequence] = {}
        self._free = list(range(num_slots))

    def __len__(self) -> int:
        """Slots that are lent."""
        return len(self._holders)

    def __iter__(self) -> Iterator[Sequence]:
        """The sequences that hold a slot, oldest first."""
        return iter(sorted(self._holders.values(), key=lambda sequence: sequence.arrival))

    @property
    def num_free(self) -> int:
        """Slots that nobody holds."""
        return len(self._free)

    @property
    def num_cells(self) -> int:
        """Cells that exist."""
        return self._cells.num_cells

    @property
    def num_cells_used(self) -> int:
        """Cells that hold something; a shared one counts once."""
        return self._cells.num_used

    @property
    def num_committed(self) -> int:
        """Cells used, and those that the known tokens of running sequences will need."""
        return self._cells.num_used + sum(sequence.num_uncomputed for sequence in self._holders.values())

    def lend(self, sequence: Sequence) -> int:
        """Give a sequence the free slot of the lowest number, which is empty."""
        slot = heapq.heappop(self._free)
        self._holders[slot] = sequence
        sequence.slot = slot
        sequence.num_computed = 0
        return slot

    def fill(self, admission: Admission, num_tokens: int) -> None:
        """State that a lent slot holds the first known tokens, as many as its match gave from a slot or more."""
        match, slot = admission.match, admission.slot
        if match.slot is not None:
            self._cells.share(slot, match.slot, match.num_slot_tokens)
        self._cells.grow(slot, num_tokens - match.num_slot_tokens)
        admission.sequence.num_computed = num_tokens
        self._attach(admission.sequence)

    def grow(self, sequence: Sequence, num_tokens: int) -> None:
        """State that the next known tokens of a sequence were computed."""
        assert sequence.slot is not None
        num_blocks = sequence.num_computed_blocks
        self._cells.grow(sequence.slot, num_tokens)
        sequence.num_computed += num_tokens
        if sequence.num_computed_blocks > num_blocks:
            self._attach(sequence)

    def take_back(self, sequence: Sequence) -> Release:
        """Let a sequence go; whoever empties the slot's memory is told by the release."""
        slot = sequence.slot
        assert slot is not None
        sequence.slot = None
        del self._holders[slot]
        self._cells.release(slot)
        self._cache.detach(slot)
        heapq.heappush(self._free, slot)
        return Release(sequence=sequence, slot=slot)

    def _attach(self, sequence: Sequence) -> None:
        if not self._cache.saves_snapshots and sequence.slot is not None:
            self._cache.attach(sequence.slot, sequence.block_keys[: sequence.num_computed_blocks])

    def check_integrity(self) -> None:
        """Assert the invariants of slots whose admissions were all adopted."""
        self._cells.check_integrity()
        assert sorted([*self._free, *self._holders]) == list(range(self.num_slots))
        for slot, sequence in self._holders.items():
            assert sequence.slot == slot
            assert sequence.num_computed < sequence.num_tokens <= sequence.max_num_tokens
            assert self._cells.num_tokens(slot) == sequence.num_computed
            assert self._cells.num_tokens(slot) // BLOCK_SIZE == sequence.num_computed_blocks
