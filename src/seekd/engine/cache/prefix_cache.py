"""Which computed tokens can be used again: those in running slots, in RAM and on disk.

Pure: bytes and files are the store's.

A key stands for a whole prefix of blocks of 64 tokens, so the radix tree needs no nodes of its own: the longest match
is the longest run of known keys from the first block on, and what the tokens behind it have in common with one more
entry, a block or a tail (continuations.py). A slot that holds a block holds all blocks before it, hence a match is at
most one copy from a slot, then entries from the store, the last of which may be used in part:

    [ 0 ... num_slot_tokens )[ num_slot_tokens ... num_tokens )[ num_tokens ... computed by the model )
      copied from `slot`        stored_keys, in order

Twins with the same verbs: `BlockPrefixCache` for memories that can be cut anywhere, `WholeBlockPrefixCache` where only
whole blocks may be used again, `SnapshotPrefixCache` (its own module) for memories that cannot be cut,
`NullPrefixCache` when caching is off.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from seekd.engine.cache.block_hash import BLOCK_SIZE, SNAPSHOT_KEY_BYTES, extend_keys, root_key, snapshot_key
from seekd.engine.cache.continuations import Continuations
from seekd.engine.cache.tier_index import Payload, Tier

LEAST_PART = 4
"""Tokens of a part that are worth a copy. Every prompt begins like every other: with a marker or two."""


class MissReason(enum.StrEnum):
    """Why a match is not longer."""

    COMPLETE = "complete"  # everything that may be reused was found
    UNKNOWN = "unknown"  # the next token, or a snapshot behind this position, is in no tier
    SHORT = "short"  # there is no token before the last
    OFF = "off"  # caching is off


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The longest reusable prefix of some tokens; also the explanation of it.

    Attributes:
        num_tokens: tokens that need not be computed; less than the tokens asked for.
        slot: source of the first `num_slot_tokens`; None when no running slot has any.
        stored_keys: what to read from the store, in order, one block each and the last one as far as `num_tokens`; one
            snapshot's key for a memory that cannot be cut.
        stored_tiers: the tier of each of `stored_keys`.
        snapshot: the key in `stored_keys` is a snapshot of all `num_tokens`.
        reason: why it ends where it ends; the first position that did not match is `num_tokens`.
    """

    num_tokens: int = 0
    slot: int | None = None
    num_slot_tokens: int = 0
    stored_keys: tuple[bytes, ...] = ()
    stored_tiers: tuple[Tier, ...] = ()
    snapshot: bool = False
    reason: MissReason = MissReason.UNKNOWN

    def num_tokens_in(self, tier: Tier) -> int:
        """Matched tokens that come from one tier."""
        if tier is Tier.SLOT:
            return self.num_slot_tokens
        if self.snapshot:
            return self.num_tokens if tier in self.stored_tiers else 0
        starts = range(self.num_slot_tokens, self.num_tokens, BLOCK_SIZE)
        sizes = (min(BLOCK_SIZE, self.num_tokens - start) for start in starts)
        return sum(size for size, stored in zip(sizes, self.stored_tiers, strict=True) if stored is tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixCacheStats:
    """Counts since the start, in tokens where not said otherwise.

    Attributes:
        num_blocks_in_slots: blocks that running slots hold now, each block once.
    """

    num_matches: int = 0
    num_slot_tokens: int = 0
    num_ram_tokens: int = 0
    num_disk_tokens: int = 0
    num_blocks_in_slots: int = 0


class Store(Protocol):
    """Keeps payloads under keys, in RAM and on disk; `BlockStore` is one."""

    def find(self, key: bytes) -> Tier | None:
        """The fastest tier that holds the key; None when none does."""

    def put(self, key: bytes, payload: Payload, parent: bytes | None = None) -> None:
        """Keep a payload, or not, as budgets allow."""

    def get_each(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        """Read payloads in order, each None when it is gone or damaged."""

    def held_keys(self) -> Iterable[bytes]:
        """Every key held."""

    def touch(self, keys: Sequence[bytes]) -> None:
        """Mark as recently used, the first most of all."""

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep from eviction."""

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""

    def evict(self, num_bytes: int) -> int:
        """Free at least `num_bytes` of RAM where it can; returns the bytes freed."""

    def clear(self) -> None:
        """Forget everything."""


class PrefixCache(Protocol):
    """What the scheduler and the engine loop ask. Used by one thread."""

    @property
    def saves_snapshots(self) -> bool:
        """Whether entries are snapshots of whole slots, so that chunks must end where one is wanted."""

    @property
    def shares_parts(self) -> bool:
        """Whether prefixes that end inside a block can be used, so that the open ends of slots are worth saving."""

    def extend_keys(self, keys: list[bytes], token_ids: Sequence[int], salt: str) -> None:
        """Append the keys of whole blocks that `keys` lacks; leaves it empty where nothing is cached."""

    def match(self, keys: Sequence[bytes], token_ids: Sequence[int], salt: str, max_tokens: int) -> Match:
        """The longest reusable prefix of at most `max_tokens` tokens. Changes nothing."""

    def count(self, match: Match) -> None:
        """Add a match that was used to the statistics."""

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep stored entries from eviction until `unlock`; locks add up."""

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""

    def attach(self, slot: int, keys: Sequence[bytes]) -> None:
        """State that a slot now holds these blocks, the first block first; replaces what it held."""

    def detach(self, slot: int) -> None:
        """State that a slot is empty."""

    def holds(self, key: bytes) -> bool:
        """Whether a stored tier has the entry, so that it need not be saved."""

    def insert(
        self,
        key: bytes,
        payload: Payload,
        parent: bytes | None = None,
        *,
        token_ids: Sequence[int] = (),
        salt: str = "",
    ) -> None:
        """Keep a computed block, tail or snapshot.

        Args:
            key: its name.
            payload: must not change afterwards.
            parent: key of the block before.
            token_ids: of a block or tail.
            salt: that the keys were made with.
        """

    def read(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        """The payloads of stored entries in their order, each None when it is gone or damaged."""

    def touch(self, keys: Sequence[bytes]) -> None:
        """Mark stored entries as recently used, the first most of all."""

    def evict(self, num_bytes: int) -> int:
        """Free RAM where it can; returns the bytes freed."""

    def clear(self) -> None:
        """Forget the stored tiers; running slots keep what they hold."""

    def stats(self) -> PrefixCacheStats:
        """Counts since the start."""

    def check_integrity(self) -> None:
        """Assert the invariants."""


class MatchCounters:
    """Adds up what matches gave."""

    def __init__(self) -> None:
        self._num_matches = 0
        self._num_tokens = dict.fromkeys(Tier, 0)

    def add(self, match: Match) -> Match:
        """Count a match; returns it."""
        self._num_matches += 1
        for tier in Tier:
            self._num_tokens[tier] += match.num_tokens_in(tier)
        return match

    def stats(self, num_blocks_in_slots: int) -> PrefixCacheStats:
        """The sums so far."""
        return PrefixCacheStats(
            num_matches=self._num_matches,
            num_slot_tokens=self._num_tokens[Tier.SLOT],
            num_ram_tokens=self._num_tokens[Tier.RAM],
            num_disk_tokens=self._num_tokens[Tier.DISK],
            num_blocks_in_slots=num_blocks_in_slots,
        )


class BlockPrefixCache:
    """The prefix cache of a memory that can be cut at any position.

    Args:
        store: its RAM and disk tiers; owned by the caller.
    """

    saves_snapshots = False
    shares_parts = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self._continuations = Continuations(self.holds)
        for key in store.held_keys():
            if len(key) == SNAPSHOT_KEY_BYTES:
                self._continuations.add_named(key)
        self._slot_keys: dict[int, tuple[bytes, ...]] = {}
        self._slots_of: dict[bytes, set[int]] = {}
        self._counters = MatchCounters()

    def extend_keys(self, keys: list[bytes], token_ids: Sequence[int], salt: str) -> None:
        """Append the keys of whole blocks that `keys` lacks."""
        extend_keys(keys, token_ids, salt)

    def match(self, keys: Sequence[bytes], token_ids: Sequence[int], salt: str, max_tokens: int) -> Match:
        """The longest run of known blocks within `max_tokens`, from a slot, then stored, and what follows it."""
        limit = min(len(keys), max_tokens // BLOCK_SIZE)
        num_slot_blocks = 0
        while num_slot_blocks < limit and keys[num_slot_blocks] in self._slots_of:
            num_slot_blocks += 1
        slot = min(self._slots_of[keys[num_slot_blocks - 1]]) if num_slot_blocks else None
        # Each tier is asked once: the disk's own thread may drop a block between two questions.
        stored: list[tuple[bytes, Tier]] = []
        for key in keys[num_slot_blocks:limit]:
            if (tier := self._store.find(key)) is None:
                break
            stored.append((key, tier))
        num_tokens = (num_slot_blocks + len(stored)) * BLOCK_SIZE
        if self.shares_parts:
            key, length = self._part(keys, token_ids, salt, num_tokens, max_tokens)
            if length >= LEAST_PART and (tier := self._store.find(key)) is not None:
                stored.append((key, tier))
                num_tokens += length
        found_all = MissReason.COMPLETE if max_tokens else MissReason.SHORT
        return Match(
            num_tokens=num_tokens,
            slot=slot,
            num_slot_tokens=num_slot_blocks * BLOCK_SIZE,
            stored_keys=tuple(key for key, _ in stored),
            stored_tiers=tuple(tier for _, tier in stored),
            reason=MissReason.UNKNOWN if num_tokens < max_tokens else found_all,
        )

    def _part(
        self, keys: Sequence[bytes], token_ids: Sequence[int], salt: str, start: int, max_tokens: int
    ) -> tuple[bytes, int]:
        """The stored entry that has most of the tokens behind whole blocks, and how many it has."""
        wanted = token_ids[start : min(start + BLOCK_SIZE, max_tokens)]
        before = keys[start // BLOCK_SIZE - 1] if start else root_key(salt)
        return self._continuations.longest(
            before, wanted, start=start, name=lambda end: snapshot_key(keys, token_ids, end, salt)
        )

    def count(self, match: Match) -> None:
        """Count a match that was used."""
        self._counters.add(match)

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep stored blocks from eviction until `unlock`; locks add up."""
        self._store.lock(keys)

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""
        self._store.unlock(keys)

    def attach(self, slot: int, keys: Sequence[bytes]) -> None:
        """State that a slot now holds these blocks, the first block first; replaces what it held."""
        old = self._slot_keys.get(slot, ())
        if tuple(keys[: len(old)]) != old:
            self.detach(slot)
            old = ()
        for key in keys[len(old) :]:
            self._slots_of.setdefault(key, set()).add(slot)
        self._slot_keys[slot] = tuple(keys)

    def detach(self, slot: int) -> None:
        """State that a slot is empty."""
        for key in self._slot_keys.pop(slot, ()):
            slots = self._slots_of[key]
            slots.remove(slot)
            if not slots:
                del self._slots_of[key]

    def holds(self, key: bytes) -> bool:
        """Whether a stored tier has the block."""
        return self._store.find(key) is not None

    def insert(
        self,
        key: bytes,
        payload: Payload,
        parent: bytes | None = None,
        *,
        token_ids: Sequence[int] = (),
        salt: str = "",
    ) -> None:
        """Keep a computed block or tail; the payload must not change afterwards."""
        self._store.put(key, payload, parent)
        if token_ids:
            self._continuations.add(parent or root_key(salt), token_ids, key)

    def read(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        """The payloads of stored blocks, each None when it is gone or damaged."""
        return self._store.get_each(keys)

    def touch(self, keys: Sequence[bytes]) -> None:
        """Mark stored blocks as recently used, the first most of all."""
        self._store.touch(keys)

    def evict(self, num_bytes: int) -> int:
        """Free RAM where it can; returns the bytes freed."""
        return self._store.evict(num_bytes)

    def clear(self) -> None:
        """Forget the stored tiers; running slots keep what they hold."""
        self._store.clear()
        self._continuations.clear()

    def stats(self) -> PrefixCacheStats:
        """Counts since the start."""
        return self._counters.stats(len(self._slots_of))

    def check_integrity(self) -> None:
        """Assert that both directions of the slot table agree and that no slot holds a block twice."""
        expected: dict[bytes, set[int]] = {}
        for slot, keys in self._slot_keys.items():
            assert len(set(keys)) == len(keys)
            for key in keys:
                expected.setdefault(key, set()).add(slot)
        assert expected == self._slots_of
        self._continuations.check_integrity()


class WholeBlockPrefixCache(BlockPrefixCache):
    """A `BlockPrefixCache` that finds whole blocks only, so that what is computed always begins at a block's border."""

    shares_parts = False


class NullPrefixCache:
    """Caches nothing: no keys, no matches, nothing shared between running sequences."""

    saves_snapshots = False
    shares_parts = False

    def extend_keys(self, keys: list[bytes], token_ids: Sequence[int], salt: str) -> None:
        """Leave `keys` empty."""

    def match(
        self,
        keys: Sequence[bytes],  # noqa: ARG002 - the twin's verb
        token_ids: Sequence[int],  # noqa: ARG002 - the twin's verb
        salt: str,  # noqa: ARG002 - the twin's verb
        max_tokens: int,  # noqa: ARG002 - the twin's verb
    ) -> Match:
        """Nothing."""
        return Match(reason=MissReason.OFF)

    def count(self, match: Match) -> None:
        """Nothing to count."""

    def lock(self, keys: Iterable[bytes]) -> None:
        """Nothing to lock."""

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Nothing to unlock."""

    def attach(self, slot: int, keys: Sequence[bytes]) -> None:
        """Nothing to share."""

    def detach(self, slot: int) -> None:
        """Nothing was shared."""

    def holds(self, key: bytes) -> bool:  # noqa: ARG002 - the twin's verb
        """Never."""
        return False

    def insert(
        self,
        key: bytes,
        payload: Payload,
        parent: bytes | None = None,
        *,
        token_ids: Sequence[int] = (),
        salt: str = "",
    ) -> None:
        """Drop it."""

    def read(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        """Never anything."""
        return iter([None] * len(keys))

    def touch(self, keys: Sequence[bytes]) -> None:
        """Nothing to touch."""

    def evict(self, num_bytes: int) -> int:  # noqa: ARG002 - the twin's verb
        """Nothing to free."""
        return 0

    def clear(self) -> None:
        """Nothing to forget."""

    def stats(self) -> PrefixCacheStats:
        """Zeros."""
        return PrefixCacheStats()

    def check_integrity(self) -> None:
        """Always sound."""
