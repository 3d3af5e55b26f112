from __future__ import annotations

import itertools
import random

import pytest

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.schedule.kv_cells import KvCells


@pytest.mark.parametrize("seed", range(10))
def test_random_operations_agree_with_counting_every_cell(seed: int) -> None:
    source = random.Random(seed)
    cells = KvCells(10_000)
    ids = itertools.count()
    slots: dict[int, list[int]] = {}
    for _ in range(300):
        slot = source.randrange(5)
        action = source.random()
        if action < 0.6:
            count = source.randrange(0, 200)
            if sum(map(len, slots.values())) + count < 10_000:
                cells.grow(slot, count)
                slots.setdefault(slot, []).extend(next(ids) for _ in range(count))
        elif action < 0.8 and not slots.get(slot):
            lender = source.randrange(5)
            most = len(slots.get(lender, [])) // BLOCK_SIZE
            if lender != slot and most:
                shared = source.randrange(most + 1) * BLOCK_SIZE
                cells.share(slot, lender, shared)
                slots[slot] = slots[lender][:shared]
        elif action > 0.8:
            cells.release(slot)
            slots.pop(slot, None)
        cells.check_integrity()
        assert cells.num_used == len({cell for held in slots.values() for cell in held})
        assert cells.num_tokens(slot) == len(slots.get(slot, []))


def test_sharing_what_the_source_does_not_hold_is_an_error() -> None:
    cells = KvCells(1000)
    cells.grow(0, 100)
    with pytest.raises(AssertionError):
        cells.share(1, 0, 128)
