from __future__ import annotations

import random

import pytest

from seekd.engine.cache.block_hash import extend_keys, snapshot_key
from seekd.engine.cache.block_store import BlockStore
from seekd.engine.cache.prefix_cache import MissReason
from seekd.engine.cache.snapshot_cache import SnapshotPrefixCache
from seekd.engine.cache.tier_index import Tier


def keys_of(tokens: list[int], salt: str) -> list[bytes]:
    keys: list[bytes] = []
    extend_keys(keys, tokens, salt)
    return keys


@pytest.mark.parametrize("seed", range(10))
def test_a_match_is_the_longest_snapshot_that_is_a_strict_prefix(seed: int) -> None:
    source = random.Random(seed)
    store = BlockStore(ram_budget_bytes=source.choice([400, 1 << 20]))
    cache = SnapshotPrefixCache(store)
    saved: dict[bytes, tuple[str, list[int]]] = {}
    roots = [[source.randrange(5) for _ in range(300)] for _ in range(2)]
    for _ in range(200):
        root = source.choice(roots)
        tokens = root[: source.randrange(len(root))] + [source.randrange(5) for _ in range(source.choice([1, 3, 90]))]
        salt = source.choice("aab")
        if source.random() < 0.4:
            count = source.randrange(1, len(tokens) + 1)
            key = snapshot_key(keys_of(tokens, salt), tokens, count, salt)
            cache.insert(key, bytes(10))
            saved[key] = (salt, tokens[:count])
        cache.check_integrity()
        match = cache.match(keys_of(tokens, salt), tokens, salt, len(tokens) - 1)
        held = [prefix for key, (s, prefix) in saved.items() if s == salt and store.find(key) is not None]
        lengths = [len(prefix) for prefix in held if len(prefix) < len(tokens) and tokens[: len(prefix)] == prefix]
        assert match.num_tokens == max(lengths, default=0)
        assert match.num_tokens_in(Tier.RAM) == match.num_tokens
        assert match.num_tokens_in(Tier.SLOT) == match.num_tokens_in(Tier.DISK) == 0


def test_snapshots_of_an_earlier_run_are_found() -> None:
    tokens = list(range(200))
    with BlockStore(ram_budget_bytes=1000) as store:
        key = snapshot_key(keys_of(tokens, ""), tokens, 150, "")
        store.put(bytes(16), b"a block, not a snapshot")
        SnapshotPrefixCache(store).insert(key, b"state")
        cache = SnapshotPrefixCache(store)
        match = cache.match(keys_of(tokens, ""), tokens, "", 199)
        cache.lock(match.stored_keys)
        cache.count(match)
        cache.touch(match.stored_keys)
        cache.unlock(match.stored_keys)
        assert (match.num_tokens, match.stored_keys, match.reason) == (150, (key,), MissReason.UNKNOWN)
        assert [bytes(held or b"") for held in cache.read([key])] == [b"state"]
        assert cache.holds(key)
        assert cache.stats().num_ram_tokens == 150
        assert cache.match(keys_of(tokens, ""), tokens, "", 150).reason is MissReason.COMPLETE
        assert cache.match(keys_of(tokens, ""), tokens, "", 0).reason is MissReason.SHORT


def test_evicted_and_cleared_snapshots_are_not_found() -> None:
    tokens = list(range(100))
    cache = SnapshotPrefixCache(BlockStore(ram_budget_bytes=1000))
    for count in (30, 60):
        cache.insert(snapshot_key(keys_of(tokens, ""), tokens, count, ""), bytes(100))
    assert cache.evict(1) == 100
    assert cache.match(keys_of(tokens, ""), tokens, "", 99).num_tokens == 60
    cache.clear()
    cache.attach(0, keys_of(tokens, ""))
    assert cache.match(keys_of(tokens, ""), tokens, "", 99).num_tokens == 0
    cache.detach(0)
    cache.check_integrity()


def test_the_names_of_dropped_snapshots_do_not_pile_up() -> None:
    cache = SnapshotPrefixCache(BlockStore(ram_budget_bytes=100))
    for number in range(5000):
        tokens = [number] * 70
        cache.insert(snapshot_key(keys_of(tokens, ""), tokens, 70, ""), bytes(10))
    assert sum(map(len, cache._by_parent.values())) < 1200
    assert cache.match(keys_of([*tokens, 1], ""), [*tokens, 1], "", 70).num_tokens == 70
    cache.check_integrity()
