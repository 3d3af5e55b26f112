"""Which blocks one tier holds and which go first: least recently used, leaves before their parents, under a budget.

Pure: no bytes, no files, no clock; recency is an order of calls.

A block without its parent can never be matched, so eviction only ever takes leaves: blocks without a child in this
tier. Children are counted by the parent's key, whether or not the parent is here, so that a parent which comes back
finds its count right.

    evictable = held, unlocked, no child held        next = the evictable one touched longest ago

The heap holds `(stamp, key)` of every evictable block, and stale pairs, which are skipped when they surface.
"""

from __future__ import annotations

import enum
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Payload = bytes | bytearray | memoryview
"""Bytes of a block; whoever hands them over must not change them afterwards."""


class Tier(enum.StrEnum):
    """Where a block's computed tokens lie, fastest first."""

    SLOT = "slot"
    RAM = "ram"
    DISK = "disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evicted:
    """A block that had to go, and the key of the block before it."""

    key: bytes
    parent: bytes | None


@dataclass(slots=True)
class _Entry:
    size_bytes: int
    parent: bytes | None
    stamp: int


class TierIndex:
    """The blocks of one tier. Not safe to share between threads without a lock of the owner's.

    Args:
        budget_bytes: most bytes that may be held; 0 holds nothing.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self._entries: dict[bytes, _Entry] = {}
        self._num_children: dict[bytes, int] = {}
        self._num_locks: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []
        self._stamp = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._entries)

    def size_of(self, key: bytes) -> int:
        """Bytes of a held block."""
        return self._entries[key].size_bytes

    def parent_of(self, key: bytes) -> bytes | None:
        """Key of the block before a held one; None for a first block."""
        return self._entries[key].parent

    def has_room(self, size_bytes: int) -> bool:
        """Whether a block of this size fits without evicting."""
        return self.used_bytes + size_bytes <= self.budget_bytes

    def add(self, key: bytes, size_bytes: int, parent: bytes | None = None) -> None:
        """Hold a block that is not held, as the most recently used."""
        assert key not in self._entries
        self._entries[key] = _Entry(size_bytes, parent, self._next_stamp())
        self.used_bytes += size_bytes
        if parent is not None:
            self._num_children[parent] = self._num_children.get(parent, 0) + 1
        self._offer(key)

    def remove(self, key: bytes) -> None:
        """Stop holding a block, locked or not, with or without children."""
        entry = self._entries.pop(key)
        self.used_bytes -= entry.size_bytes
        parent = entry.parent
        if parent is None:
            return
        if self._num_children[parent] > 1:
            self._num_children[parent] -= 1
        else:
            del self._num_children[parent]
            self._offer(parent)

    def touch(self, keys: Sequence[bytes]) -> None:
        """Make the held ones of `keys` the most recently used, the first of them most of all."""
        for key in reversed(keys):
            entry = self._entries.get(key)
            if entry is not None:
                entry.stamp = self._next_stamp()
                self._offer(key)

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep `keys` from eviction, held now or later, until `unlock` with the same keys; locks add up."""
        for key in keys:
            self._num_locks[key] = self._num_locks.get(key, 0) + 1

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""
        for key in keys:
            if self._num_locks[key] > 1:
                self._num_locks[key] -= 1
            else:
                del self._num_locks[key]
                self._offer(key)

    def make_room(self, size_bytes: int) -> list[Evicted]:
        """Evict until a block of this size fits or nothing evictable is left.

        Returns:
            What was evicted, in order; the caller lets go of the bytes. `has_room` says whether it was enough.
            Empty, and nothing is evicted, when the size exceeds the budget.
        """
        evicted: list[Evicted] = []
        if size_bytes > self.budget_bytes:
            return evicted
        while not self.has_room(size_bytes) and (key := self._pop()) is not None:
            evicted.append(Evicted(key=key, parent=self._entries[key].parent))
            self.remove(key)
        return evicted

    def clear(self) -> None:
        """Hold nothing; locks stay, for whoever set them."""
        self._entries.clear()
        self._num_children.clear()
        self._heap.clear()
        self.used_bytes = 0

    def check_integrity(self) -> None:
        """Assert the invariants; costs a pass over everything."""
        assert self.used_bytes == sum(entry.size_bytes for entry in self._entries.values())
        assert self.used_bytes <= self.budget_bytes or not self._entries
        children: dict[bytes, int] = {}
        for entry in self._entries.values():
            if entry.parent is not None:
                children[entry.parent] = children.get(entry.parent, 0) + 1
        assert children == self._num_children
        offered = set(self._heap)
        assert all(count > 0 for count in self._num_locks.values())
        for key, entry in self._entries.items():
            if self._is_evictable(key):
                assert (entry.stamp, key) in offered

    def _next_stamp(self) -> int:
        self._stamp += 1
        return self._stamp

    def _is_evictable(self, key: bytes) -> bool:
        return key in self._entries and key not in self._num_locks and key not in self._num_children

    def _offer(self, key: bytes) -> None:
        if not self._is_evictable(key):
            return
        heapq.heappush(self._heap, (self._entries[key].stamp, key))
        if len(self._heap) > 4 * len(self._entries) + 64:
            self._heap = [(entry.stamp, key) for key, entry in self._entries.items() if self._is_evictable(key)]
            heapq.heapify(self._heap)

    def _pop(self) -> bytes | None:
        while self._heap:
            stamp, key = heapq.heappop(self._heap)
            if self._is_evictable(key) and self._entries[key].stamp == stamp:
                return key
        return None
