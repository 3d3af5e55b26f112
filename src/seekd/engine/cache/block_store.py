"""Computed blocks outside the context: in RAM, and behind it on disk.

Used by the engine loop's thread; one of its own reads ahead from disk.

What is put goes to both tiers. RAM evicts what the disk still has; what is read from disk goes to RAM again, so that
the next reader finds it there. Both tiers evict the least recently used leaf first and never a locked block.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seekd.engine.cache.disk_tier import DiskStats, DiskTier
from seekd.engine.cache.store_admin import make_room_beside
from seekd.engine.cache.store_directory import binding_digest
from seekd.engine.cache.tier_index import Payload, Tier, TierIndex
from seekd.errors import StoreError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Gauges now, and counts since the start (`total_*`). `disk` is None when that tier is off."""

    num_ram_blocks: int = 0
    ram_used_bytes: int = 0
    ram_budget_bytes: int = 0
    total_ram_evicted: int = 0
    disk: DiskStats | None = None


class BlockStore:
    """Payloads under keys. A context manager; `close` writes what waits.

    Args:
        ram_budget_bytes: most bytes in RAM; 0 turns the tier off.
        disk: None turns the tier off; owned by the store from now on.
    """

    def __init__(self, *, ram_budget_bytes: int, disk: DiskTier | None = None) -> None:
        self._ram = TierIndex(ram_budget_bytes)
        self._payloads: dict[bytes, memoryview] = {}
        self._disk = disk
        self._num_evicted = 0
        self._reader: ThreadPoolExecutor | None = None

    def __enter__(self) -> BlockStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, key: bytes) -> Tier | None:
        """The fastest tier that holds the key; None when none does."""
        if key in self._ram:
            return Tier.RAM
        return Tier.DISK if self._disk is not None and key in self._disk else None

    def put(self, key: bytes, payload: Payload, parent: bytes | None = None) -> None:
        """Keep a payload in RAM and on disk, as far as the budgets allow.

        Args:
            key: 16 bytes of a block or 36 of a snapshot.
            payload: not copied, so it must not change any more.
            parent: key of the block before.
        """
        self._keep(key, memoryview(payload).cast("B").toreadonly(), parent)
        if self._disk is not None:
            self._disk.offer(key, payload, parent)

    def get(self, key: bytes) -> memoryview | None:
        """A payload, read-only; None when it is gone or damaged. Reads a file when only the disk has it."""
        payload = self._payloads.get(key)
        if payload is not None or self._disk is None:
            return payload
        parent = self._disk.parent_of(key)
        payload = self._disk.read(key)
        if payload is not None:
            self._keep(key, payload, parent)
        return payload

    def get_each(self, keys: Sequence[bytes]) -> Iterator[memoryview | None]:
        """The payloads of several keys, as `get` gives them; a file is read while the caller uses the one before."""
        ahead: Future[memoryview | None] | None = None
        for index, key in enumerate(keys):
            payload = self.get(key) if ahead is None else self._take(key, ahead)
            ahead = self._read_ahead(keys[index + 1]) if index + 1 < len(keys) else None
            yield payload

    def _read_ahead(self, key: bytes) -> Future[memoryview | None] | None:
        if key in self._payloads or self._disk is None:
            return None
        if self._reader is None:
            self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache-reader")
        return self._reader.submit(self._disk.read, key)

    def _take(self, key: bytes, ahead: Future[memoryview | None]) -> memoryview | None:
        assert self._disk is not None
        parent = self._disk.parent_of(key)
        payload = ahead.result()
        if payload is not None:
            self._keep(key, payload, parent)
        return payload

    def held_keys(self) -> Iterable[bytes]:
        """Every key held, each once."""
        disk = self._disk.held_keys() if self._disk is not None else []
        return dict.fromkeys((*self._ram, *disk))

    def touch(self, keys: Sequence[bytes]) -> None:
        """Mark as recently used, the first most of all."""
        self._ram.touch(keys)
        if self._disk is not None:
            self._disk.touch(keys)

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep from eviction until `unlock` with the same keys; locks add up."""
        keys = tuple(keys)
        self._ram.lock(keys)
        if self._disk is not None:
            self._disk.lock(keys)

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""
        keys = tuple(keys)
        self._ram.unlock(keys)
        if self._disk is not None:
            self._disk.unlock(keys)

    def evict(self, num_bytes: int) -> int:
        """Free at least `num_bytes` of RAM where unlocked blocks allow it; returns the bytes freed."""
        before = self._ram.used_bytes
        self._let_go(self._ram.budget_bytes - max(before - num_bytes, 0))
        return before - self._ram.used_bytes

    def clear(self) -> None:
        """Forget everything in both tiers."""
        self._ram.clear()
        self._payloads.clear()
        if self._disk is not None:
            self._disk.clear()

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until the disk has what was put; returns whether it has."""
        return self._disk is None or self._disk.flush(timeout_s)

    def close(self) -> None:
        """Write what waits and let go of the directory. May be called twice."""
        if self._reader is not None:
            self._reader.shutdown()
        if self._disk is not None:
            self._disk.close()

    def stats(self) -> StoreStats:
        """Gauges and counts."""
        return StoreStats(
            num_ram_blocks=len(self._ram),
            ram_used_bytes=self._ram.used_bytes,
            ram_budget_bytes=self._ram.budget_bytes,
            total_ram_evicted=self._num_evicted,
            disk=self._disk.stats() if self._disk is not None else None,
        )

    def check_integrity(self) -> None:
        """Assert the invariants of both tiers."""
        self._ram.check_integrity()
        assert set(self._payloads) == set(self._ram)
        assert all(len(payload) == self._ram.size_of(key) for key, payload in self._payloads.items())
        if self._disk is not None:
            self._disk.check_integrity()

    def _keep(self, key: bytes, payload: memoryview, parent: bytes | None) -> None:
        if key in self._ram:
            return
        self._let_go(len(payload))
        if self._ram.has_room(len(payload)):
            self._ram.add(key, len(payload), parent)
            self._payloads[key] = payload

    def _let_go(self, size_bytes: int) -> None:
        for evicted in self._ram.make_room(size_bytes):
            del self._payloads[evicted.key]
            self._num_evicted += 1


def open_block_store(
    *, ram_budget_bytes: int, disk_budget_bytes: int, root: Path | None, binding: str, wait_s: float = 10.0
) -> BlockStore:
    """Open the store of one model, build and type under a root that several share.

    Where the disk tier cannot be used (another server has it, no permission) the reason is logged and RAM serves
    alone: a cache must not keep a model from starting, and two writers of one directory must not be.

    Args:
        ram_budget_bytes: 0 turns the RAM tier off.
        disk_budget_bytes: for all stores under `root` together, as long as they are not in use; 0 turns the tier off.
        root: None turns the disk tier off.
        binding: text that names everything a block's bytes depend on.
        wait_s: longest wait for a process that still has the directory. 10: longer than a step takes, after which an
            engine whose server was killed ends.
    """
    disk = None
    if root is not None and disk_budget_bytes > 0:
        directory = root / binding_digest(binding).hex()
        try:
            disk = DiskTier(directory, binding=binding, budget_bytes=disk_budget_bytes, wait_s=wait_s)
            make_room_beside(directory, budget_bytes=disk_budget_bytes - disk.stats().used_bytes)
        except StoreError as error:
            logger.warning(
                "The cache on disk is off: %s", error.message, extra={"action": "cache.disk_off", "path": str(root)}
            )
    return BlockStore(ram_budget_bytes=ram_budget_bytes, disk=disk)
