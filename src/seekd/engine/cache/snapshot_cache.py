"""The prefix cache of memories that cannot be cut: whole-slot snapshots at exact positions.

Pure.

A recurrent state, a sliding window or a compressed memory is only right for all the tokens it has seen, so an entry is
the state after exactly `n` tokens, and a match is the longest snapshot that is a strict prefix. Snapshots are found by
the key of the whole blocks before their end: for each block border of the prompt, a few candidates at most.
Slots share nothing here: copying a slot would need the position that the copy wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seekd.engine.cache.block_hash import (
    BLOCK_SIZE,
    SNAPSHOT_KEY_BYTES,
    extend_keys,
    root_key,
    snapshot_key,
    snapshot_parts,
)
from seekd.engine.cache.prefix_cache import Match, MatchCounters, MissReason, PrefixCacheStats, Store
from seekd.engine.cache.tier_index import Payload

_MOST_FORGOTTEN = 1024  # names of dropped snapshots that are kept at most, beyond as many as are held


class SnapshotPrefixCache:
    """Finds snapshots by prefix.

    Args:
        store: its RAM and disk tiers; owned by the caller. Snapshots that it holds already are found again.
    """

    saves_snapshots = True
    shares_parts = False

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counters = MatchCounters()
        self._by_parent: dict[bytes, dict[bytes, int]] = {}
        self._num_known = 0
        self._num_held = 0
        for key in store.held_keys():
            if len(key) == SNAPSHOT_KEY_BYTES:
                self._remember(key)

    def extend_keys(self, keys: list[bytes], token_ids: Sequence[int], salt: str) -> None:
        """Append the keys of whole blocks that `keys` lacks."""
        extend_keys(keys, token_ids, salt)

    def match(self, keys: Sequence[bytes], token_ids: Sequence[int], salt: str, max_tokens: int) -> Match:
        """The longest snapshot of at most `max_tokens` tokens that the tokens begin with."""
        for num_blocks in range(min(len(keys), max_tokens // BLOCK_SIZE), -1, -1):
            parent = keys[num_blocks - 1] if num_blocks else root_key(salt)
            candidates = self._by_parent.get(parent, {})
            for key, num_tokens in sorted(candidates.items(), key=lambda item: -item[1]):
                if num_tokens > max_tokens or key != snapshot_key(keys, token_ids, num_tokens, salt):
                    continue
                tier = self._store.find(key)
                if tier is None:
                    self._forget(key)
                    continue
                complete = num_tokens == max_tokens
                return Match(
                    num_tokens=num_tokens,
                    stored_keys=(key,),
                    stored_tiers=(tier,),
                    snapshot=True,
                    reason=MissReason.COMPLETE if complete else MissReason.UNKNOWN,
                )
        return Match(reason=MissReason.UNKNOWN if max_tokens else MissReason.SHORT)

    def count(self, match: Match) -> None:
        """Count a match that was used."""
        self._counters.add(match)
        self._store.touch(match.stored_keys)

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep stored snapshots from eviction until `unlock`; locks add up."""
        self._store.lock(keys)

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""
        self._store.unlock(keys)

    def attach(self, slot: int, keys: Sequence[bytes]) -> None:
        """Slots share nothing."""

    def detach(self, slot: int) -> None:
        """Slots share nothing."""

    def holds(self, key: bytes) -> bool:
        """Whether a stored tier has the snapshot."""
        return self._store.find(key) is not None

    def insert(
        self,
        key: bytes,
        payload: Payload,
        parent: bytes | None = None,
        *,
        token_ids: Sequence[int] = (),  # noqa: ARG002 - blocks need them
        salt: str = "",  # noqa: ARG002 - blocks need it
    ) -> None:
        """Keep a snapshot; the payload must not change afterwards."""
        self._store.put(key, payload, parent)
        self._remember(key)
        if self._num_known > 2 * self._num_held + _MOST_FORGOTTEN:
            self._forget_dropped()

    def read(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        """The payloads of stored snapshots, each None when it is gone or damaged."""
        return self._store.get_each(keys)

    def touch(self, keys: Sequence[bytes]) -> None:
        """Mark stored snapshots as recently used, the first most of all."""
        self._store.touch(keys)

    def evict(self, num_bytes: int) -> int:
        """Free RAM where it can; returns the bytes freed."""
        return self._store.evict(num_bytes)

    def clear(self) -> None:
        """Forget every snapshot."""
        self._store.clear()
        self._by_parent.clear()
        self._num_known = 0

    def stats(self) -> PrefixCacheStats:
        """Counts since the start."""
        return self._counters.stats(0)

    def check_integrity(self) -> None:
        """Assert that every snapshot of the store can be found; forget those that it has dropped."""
        held = {key for key in self._store.held_keys() if len(key) == SNAPSHOT_KEY_BYTES}
        known = {key for candidates in self._by_parent.values() for key in candidates}
        assert held <= known
        assert len(known) == self._num_known
        self._forget_dropped()

    def _forget_dropped(self) -> None:
        """Forget the snapshots that the store has dropped. A pass over all: done when they may be half."""
        held = {key for key in self._store.held_keys() if len(key) == SNAPSHOT_KEY_BYTES}
        for key in [key for candidates in self._by_parent.values() for key in candidates if key not in held]:
            self._forget(key)
        self._num_held = len(held)

    def _remember(self, key: bytes) -> None:
        parent, num_tokens = snapshot_parts(key)
        candidates = self._by_parent.setdefault(parent, {})
        self._num_known += key not in candidates
        candidates[key] = num_tokens

    def _forget(self, key: bytes) -> None:
        parent, _ = snapshot_parts(key)
        candidates = self._by_parent[parent]
        del candidates[key]
        self._num_known -= 1
        if not candidates:
            del self._by_parent[parent]
