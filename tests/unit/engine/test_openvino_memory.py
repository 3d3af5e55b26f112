"""Block tables against a naive twin that keeps every position of every slot for itself."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt
import pytest

from seekd.engine.openvino.memory import KV_BLOCK_TOKENS, PagedMemory

SHAPE = (2, 2, 40, 3, KV_BLOCK_TOKENS, 4)  # layers, keys and values, blocks, heads, tokens, head size


class Slots:
    """A memory, and beside it one array of positions for each slot."""

    def __init__(self) -> None:
        self.pages = np.zeros(SHAPE, dtype=np.float32)
        self.memory = PagedMemory(self.pages, num_slots=6)
        self.twin: list[list[float]] = [[] for _ in range(6)]
        self._next = 1.0

    def grow(self, slot: int, count: int) -> bool:
        """Compute `count` tokens as the model does: reserve, then write each position through the block table."""
        start, end = len(self.twin[slot]), len(self.twin[slot]) + count
        if not self.memory.reserve(slot, end):
            return False
        for position in range(start, end):
            block = self.memory.table(slot)[position // KV_BLOCK_TOKENS]
            self.pages[:, :, block, :, position % KV_BLOCK_TOKENS] = self._next
            self.twin[slot].append(self._next)
            self._next += 1
        return True

    def held(self, slot: int) -> npt.NDArray[np.float32]:
        """What the pages hold at each of the slot's positions, where all heads and layers must agree."""
        if not self.twin[slot]:
            return np.zeros(0, np.float32)
        rows = self.pages[:, :, self.memory.table(slot)].swapaxes(3, 4).reshape(4, -1, 12)[:, : len(self.twin[slot])]
        assert (rows == rows[:1, :, :1]).all()
        return rows[0, :, 0]

    def check(self) -> None:
        self.memory.check_integrity()
        for slot, expected in enumerate(self.twin):
            assert self.held(slot).tolist() == expected


@pytest.mark.parametrize("seed", range(20))
def test_random_operations_leave_every_slot_what_it_was_given(seed: int) -> None:
    chance = random.Random(seed)
    slots = Slots()
    saved: list[tuple[int, int, bytes, list[float]]] = []
    for _ in range(200):
        slot = chance.randrange(6)
        twin = slots.twin[slot]
        match chance.choice(["grow", "grow", "share", "save", "restore", "clear"]):
            case "grow":
                before = slots.memory.num_free_blocks
                if not slots.grow(slot, chance.randrange(1, 90)):
                    assert slots.memory.num_free_blocks == before
            case "share" if not twin and slots.memory.num_free_blocks:
                source = chance.randrange(6)
                count = chance.randint(0, len(slots.twin[source]))
                slots.memory.share(source, slot, count)
                slots.twin[slot] = slots.twin[source][:count]
            case "save" if twin:
                start = chance.randrange(0, len(twin), KV_BLOCK_TOKENS)
                end = chance.randint(start + 1, len(twin))
                saved.append((start, end, slots.memory.save(slot, start, end), twin[start:end]))
            case "restore" if saved:
                start, end, payload, values = chance.choice(saved)
                end = chance.randint(start + 1, end)  # a payload may hold more than is wanted of it
                if len(twin) == start and slots.memory.restore(slot, start, end, payload):
                    twin.extend(values[: end - start])
            case "clear":
                slots.memory.clear(slot)
                slots.twin[slot] = []
        slots.check()


def test_a_full_memory_refuses_and_changes_nothing() -> None:
    slots = Slots()
    assert slots.grow(0, 39 * KV_BLOCK_TOKENS)
    payload = slots.memory.save(0, 0, 2 * KV_BLOCK_TOKENS)
    assert not slots.grow(1, KV_BLOCK_TOKENS + 1)
    assert not slots.memory.restore(1, 0, 2 * KV_BLOCK_TOKENS, payload)
    slots.check()


def test_a_saved_block_holds_nothing_of_a_sequence_that_had_the_pages_before() -> None:
    slots = Slots()
    slots.grow(0, KV_BLOCK_TOKENS)
    slots.memory.clear(0)
    slots.twin[0] = []
    slots.grow(0, 3)
    held = np.frombuffer(slots.memory.save(0, 0, 3), np.float32).reshape(2, 2, 1, 3, KV_BLOCK_TOKENS, 4)
    assert not held[:, :, :, :, 3:].any()
    assert held[:, :, :, :, :3].all()


def test_payloads_of_another_size_are_refused() -> None:
    slots = Slots()
    slots.grow(0, 64)
    payload = slots.memory.save(0, 0, 64)
    assert not slots.memory.restore(1, 0, 64, payload[:-4])
    assert not slots.memory.restore(1, 0, 65, payload)
    assert not slots.memory.restore(1, 0, 64, b"")
    slots.check()
