from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

import pytest

from seekd.engine.cache.block_hash import BLOCK_SIZE
from seekd.engine.cache.block_store import BlockStore
from seekd.engine.cache.prefix_cache import BlockPrefixCache, Match, MissReason, NullPrefixCache, PrefixCacheStats
from seekd.engine.cache.tier_index import Payload, Tier


class NaiveStore:
    """Keeps everything in one dict; tests drop what they like."""

    def __init__(self) -> None:
        self.held: dict[bytes, tuple[Tier, bytes]] = {}

    def find(self, key: bytes) -> Tier | None:
        return self.held[key][0] if key in self.held else None

    def put(self, key: bytes, payload: Payload, parent: bytes | None = None) -> None:
        self.held[key] = (Tier.RAM, bytes(payload))

    def get_each(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        return (memoryview(self.held[key][1]) if key in self.held else None for key in keys)

    def held_keys(self) -> Iterable[bytes]:
        return self.held

    def touch(self, keys: Sequence[bytes]) -> None:
        pass

    def lock(self, keys: Iterable[bytes]) -> None:
        pass

    def unlock(self, keys: Iterable[bytes]) -> None:
        pass

    def evict(self, num_bytes: int) -> int:
        return 0

    def clear(self) -> None:
        self.held.clear()


def common_blocks(a: Sequence[int], b: Sequence[int]) -> int:
    count = 0
    while list(a[count * 64 : count * 64 + 64]) == list(b[count * 64 : count * 64 + 64]) and len(b) >= count * 64 + 64:
        count += 1
        if count * 64 > len(a):
            return count - 1
    return count


@pytest.mark.parametrize("seed", range(15))
def test_random_operations_agree_with_comparing_tokens(seed: int) -> None:
    source = random.Random(seed)
    store = NaiveStore()
    cache = BlockPrefixCache(store)
    roots = [[source.randrange(9) for _ in range(64 * 6)] for _ in range(2)]
    slots: dict[int, tuple[str, list[int]]] = {}
    stored: dict[bytes, tuple[str, list[int], Tier]] = {}
    for _ in range(250):
        root = source.choice(roots)
        tokens = root[: source.randrange(len(root) + 1)] + [source.randrange(9) for _ in range(source.randrange(80))]
        salt = source.choice(["a", "a", "b"])
        keys: list[bytes] = []
        cache.extend_keys(keys, tokens, salt)
        action = source.random()
        if action < 0.25:
            slot = source.randrange(4)
            cache.attach(slot, keys)
            slots[slot] = (salt, tokens)
        elif action < 0.35:
            slot = source.randrange(4)
            cache.detach(slot)
            slots.pop(slot, None)
        elif action < 0.6:
            for index, key in enumerate(keys[: source.randrange(7)]):
                tier = source.choice([Tier.RAM, Tier.DISK])
                store.held[key] = (tier, b"x")
                stored[key] = (salt, tokens[: (index + 1) * 64], tier)
        elif action < 0.7 and stored:
            key = source.choice(list(stored))
            del stored[key], store.held[key]
        cache.check_integrity()
        most = max(len(tokens) - 1, 0)
        match = cache.match(keys, tokens, salt, most)
        limit = most // 64
        in_slots = max((common_blocks(tokens, held) for s, held in slots.values() if s == salt), default=0)
        in_slots = min(in_slots, limit)
        tiers = {tuple(prefix): tier for s, prefix, tier in stored.values() if s == salt}
        end = in_slots
        while end < limit and tuple(tokens[: (end + 1) * 64]) in tiers:
            end += 1
        assert match.num_tokens == end * 64 < max(len(tokens), 1)
        assert match.num_slot_tokens == in_slots * 64
        assert match.stored_keys == tuple(keys[in_slots:end])
        assert match.stored_tiers == tuple(tiers[tuple(tokens[: (i + 1) * 64])] for i in range(in_slots, end))
        if in_slots:
            assert match.slot is not None
            assert common_blocks(tokens, slots[match.slot][1]) >= in_slots
        expected = MissReason.UNKNOWN if end * 64 < most else MissReason.COMPLETE if most else MissReason.SHORT
        assert match.reason is expected


def test_a_slot_that_is_reused_forgets_what_it_held() -> None:
    cache = BlockPrefixCache(BlockStore(ram_budget_bytes=0))
    keys = [bytes([i]) * 16 for i in range(6)]
    cache.attach(0, keys[:3])
    cache.attach(0, keys[:4])
    assert cache.match(keys, [], "", 400).num_slot_tokens == 4 * BLOCK_SIZE
    cache.attach(0, keys[4:])
    assert cache.match(keys, [], "", 400).num_tokens == 0
    cache.check_integrity()
    cache.detach(0)
    cache.detach(0)
    assert cache.stats().num_blocks_in_slots == 0


def test_counts_add_up_by_tier() -> None:
    store = BlockStore(ram_budget_bytes=100)
    cache = BlockPrefixCache(store)
    keys = [bytes([i]) * 16 for i in range(3)]
    cache.attach(3, keys[:1])
    cache.insert(keys[1], b"abc", keys[0])
    assert cache.holds(keys[1])
    assert not cache.holds(keys[0])
    match = cache.match(keys, [], "", 1000)
    assert (match.slot, match.num_tokens_in(Tier.SLOT), match.num_tokens_in(Tier.RAM)) == (3, 64, 64)
    assert match.num_tokens_in(Tier.DISK) == 0
    cache.count(match)
    cache.count(match)
    assert cache.stats() == PrefixCacheStats(
        num_matches=2, num_slot_tokens=128, num_ram_tokens=128, num_disk_tokens=0, num_blocks_in_slots=1
    )
    assert [bytes(held or b"") for held in cache.read([keys[1]])] == [b"abc"]


def test_locked_blocks_stay_and_others_can_be_evicted_or_cleared() -> None:
    cache = BlockPrefixCache(BlockStore(ram_budget_bytes=100))
    cache.insert(b"a" * 16, bytes(50))
    cache.insert(b"b" * 16, bytes(50))
    cache.lock([b"a" * 16])
    cache.touch([b"b" * 16])
    assert cache.evict(100) == 50
    assert cache.holds(b"a" * 16)
    cache.unlock([b"a" * 16])
    assert cache.evict(1) == 50
    cache.insert(b"c" * 16, bytes(50))
    cache.clear()
    assert not cache.holds(b"c" * 16)


def test_the_null_twin_keeps_nothing() -> None:
    cache = NullPrefixCache()
    keys: list[bytes] = []
    cache.extend_keys(keys, list(range(500)), "")
    cache.attach(0, keys)
    cache.insert(b"k", b"v")
    cache.lock([b"k"])
    cache.unlock([b"k"])
    cache.touch([b"k"])
    cache.detach(0)
    cache.clear()
    match = cache.match(keys, list(range(500)), "", 499)
    cache.count(match)
    cache.check_integrity()
    assert keys == []
    assert match == Match(reason=MissReason.OFF)
    assert (list(cache.read([b"k"])), cache.holds(b"k"), cache.evict(10)) == ([None], False, 0)
    assert cache.stats() == PrefixCacheStats()
    assert not cache.saves_snapshots


class ForgetfulStore(NaiveStore):
    """Drops what was asked for, as the disk's own thread may do at any time."""

    def find(self, key: bytes) -> Tier | None:
        tier = super().find(key)
        self.held.pop(key, None)
        return tier


def test_what_is_dropped_while_it_is_looked_for_is_no_fault() -> None:
    store = ForgetfulStore()
    cache = BlockPrefixCache(store)
    tokens = list(range(100))
    keys: list[bytes] = []
    cache.extend_keys(keys, tokens, "")
    for length, key in ((64, keys[0]), (30, b"t" * 36)):
        cache.insert(key, b"x", None, token_ids=tokens[:length])
    match = cache.match(keys, tokens, "", 99)
    assert (match.num_tokens, match.stored_tiers) == (64, (Tier.RAM,))
    assert cache.match(keys, tokens, "", 99).num_tokens == 0
    cache.check_integrity()
