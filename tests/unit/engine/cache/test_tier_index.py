from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from seekd.engine.cache.tier_index import TierIndex


@dataclass
class Held:
    size: int
    parent: bytes | None
    used: int


class NaiveIndex:
    """The same promises by looking at everything each time."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held: dict[bytes, Held] = {}
        self.locks: list[bytes] = []
        self.clock = 0

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def used(self) -> int:
        return sum(held.size for held in self.held.values())

    def make_room(self, size: int) -> list[bytes]:
        gone: list[bytes] = []
        while size <= self.budget and self.used() + size > self.budget:
            leaves = [
                (held.used, key)
                for key, held in self.held.items()
                if key not in self.locks and not any(other.parent == key for other in self.held.values())
            ]
            if not leaves:
                break
            gone.append(min(leaves)[1])
            del self.held[gone[-1]]
        return gone


def add_to_both(index: TierIndex, naive: NaiveIndex, chain: list[bytes], source: random.Random) -> None:
    depth, size = source.randrange(8), source.randrange(1, 15)
    key, parent = chain[depth], chain[depth - 1] if depth else None
    if key in index:
        return
    assert [evicted.key for evicted in index.make_room(size)] == naive.make_room(size)
    assert index.has_room(size) == (naive.used() + size <= naive.budget)
    if index.has_room(size):
        index.add(key, size, parent)
        naive.held[key] = Held(size, parent, naive.tick())
        assert (index.size_of(key), index.parent_of(key)) == (size, parent)


@pytest.mark.parametrize("seed", range(20))
def test_random_operations_agree_with_a_naive_twin(seed: int) -> None:
    source = random.Random(seed)
    budget = source.choice([0, 10, 60, 200])
    index, naive = TierIndex(budget), NaiveIndex(budget)
    chains = [[bytes([c, i]) for i in range(8)] for c in range(4)]
    locked: list[list[bytes]] = []
    for _ in range(300):
        chain = source.choice(chains)
        part = chain[: source.randrange(1, 9)]
        action = source.random()
        if action < 0.5:
            add_to_both(index, naive, chain, source)
        elif action < 0.7:
            index.touch(part)
            for key in reversed(part):
                if key in naive.held:
                    naive.held[key].used = naive.tick()
        elif action < 0.8:
            index.lock(part)
            naive.locks += part
            locked.append(part)
        elif action < 0.9 and locked:
            undone = locked.pop(source.randrange(len(locked)))
            index.unlock(undone)
            for key in undone:
                naive.locks.remove(key)
        elif action < 0.95 and naive.held:
            key = source.choice(list(naive.held))
            index.remove(key)
            del naive.held[key]
        elif action > 0.995:
            index.clear()
            naive.held.clear()
        index.check_integrity()
        assert set(index) == set(naive.held)
        assert (index.used_bytes, len(index)) == (naive.used(), len(naive.held))


def test_leaves_go_before_their_parents_and_the_oldest_chain_first() -> None:
    index = TierIndex(40)
    for key, parent in ((b"a1", None), (b"a2", b"a1"), (b"b1", None), (b"b2", b"b1")):
        index.add(key, 10, parent)
    index.touch([b"a1", b"a2"])
    assert [evicted.key for evicted in index.make_room(40)] == [b"b2", b"b1", b"a2", b"a1"]


def test_a_lock_holds_for_a_block_that_comes_later() -> None:
    index = TierIndex(10)
    index.lock([b"a"])
    index.add(b"a", 10)
    assert index.make_room(5) == []
    index.unlock([b"a"])
    assert [evicted.key for evicted in index.make_room(5)] == [b"a"]


def test_the_heap_does_not_grow_with_touches() -> None:
    index = TierIndex(100)
    index.add(b"a", 1)
    for _ in range(10_000):
        index.touch([b"a"])
    assert len(index._heap) < 100
