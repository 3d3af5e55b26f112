"""Blocks on disk: found by name at start, written behind by one thread, least recently used first to go.

Holds the thread that writes.

    <directory>/store.json, lock    see store_directory.py
    <directory>/tmp/                files being written; emptied at start
    <directory>/ab/abcd...kv        blocks, by the first byte of their key

- The engine loop never waits for the disk to write: `offer` puts a payload into a queue bounded in bytes and drops it,
  counted, when the queue is full. Only `read` keeps it waiting for a file, because a hit is worth it; it is called
  from a second thread too, which reads ahead.
- Index and queue are guarded by one lock, never held during file operations.
- A directory is used by one process; store_directory.py says how.
- Recency survives restarts in the files' modification times, which a hit sets anew.
- When the disk is full or fails, writing stops for good, with one log line; reading goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seekd.engine.cache.block_file import (
    HEADER_BYTES,
    SUFFIX,
    DamagedBlock,
    file_name,
    parse_name,
    read_block,
    write_block,
)
from seekd.engine.cache.store_directory import TEMPORARY, binding_digest, open_directory
from seekd.engine.cache.tier_index import Payload, TierIndex
from seekd.errors import StoreError

logger = logging.getLogger(__name__)

BlockWriter = Callable[[Path, Path, bytes, Payload, bytes], int]
"""`write_block`, or something in its place."""

BlockReader = Callable[[Path, bytes, bytes], memoryview]
"""`read_block`, or something in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskStats:
    """Gauges now, and counts since the start (`total_*`).

    Attributes:
        pending_bytes: offered and not yet written.
        writing: False once the disk was full or failed.
        total_dropped: blocks not written: the queue was full, or there was no room that could be freed.
    """

    num_blocks: int = 0
    used_bytes: int = 0
    budget_bytes: int = 0
    pending_bytes: int = 0
    writing: bool = False
    total_written: int = 0
    total_written_bytes: int = 0
    total_read: int = 0
    total_read_bytes: int = 0
    total_evicted: int = 0
    total_dropped: int = 0
    total_damaged: int = 0


@dataclass(slots=True)
class _Counts:
    written: int = 0
    written_bytes: int = 0
    read: int = 0
    read_bytes: int = 0
    evicted: int = 0
    dropped: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class _Write:
    key: bytes
    parent: bytes | None
    payload: memoryview


@dataclass(frozen=True, slots=True)
class _Touch:
    keys: tuple[bytes, ...]
    late: tuple[bytes, ...]  # those that were not written yet, so that the index could not be told


@dataclass(frozen=True, slots=True)
class _Unlink:
    paths: tuple[Path, ...]


class DiskTier:
    """The blocks of one model, build and type in one directory. A context manager; `close` waits for the queue.

    Args:
        directory: made when missing, mode 0700.
        binding: text that names everything a block's bytes depend on; blocks of another binding are never used.
        budget_bytes: most bytes of all files.
        queue_bytes: most bytes waiting to be written.
        wait_s: longest wait for another process to let go of the directory.
        clock_ns: for modification times.
        write: writes one file.
        read: reads one file.

    Raises:
        StoreError: another process uses the directory, or it cannot be used.
    """

    def __init__(
        self,
        directory: Path,
        *,
        binding: str,
        budget_bytes: int,
        queue_bytes: int = 256 << 20,
        wait_s: float = 0.0,
        clock_ns: Callable[[], int] = time.time_ns,
        write: BlockWriter = write_block,
        read: BlockReader = read_block,
    ) -> None:
        self.directory = directory
        self._binding = binding_digest(binding)
        self._queue_bytes = queue_bytes
        self._clock_ns = clock_ns
        self._write_block = write
        self._read_block = read
        self._last_ns = 0
        self._index = TierIndex(budget_bytes)
        self._pending: dict[bytes, _Write] = {}
        self._pending_bytes = 0
        self._jobs: deque[_Write | _Touch | _Unlink] = deque()
        self._counts = _Counts()
        self._writing = True
        self._closing = False
        self._busy = False
        self._num_temporary = 0
        self._generation = 0
        self._changed = threading.Condition()
        self._lock_descriptor = open_directory(directory, binding, wait_s)
        try:
            self._scan()
        except OSError as error:
            os.close(self._lock_descriptor)
            raise StoreError(f"The cache directory {directory} cannot be read: {error.strerror}.") from error
        self._thread = threading.Thread(target=self._work, name="seekd-disk-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> DiskTier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, key: bytes) -> bool:
        with self._changed:
            return key in self._index or key in self._pending

    def held_keys(self) -> list[bytes]:
        """Every key that is written or waits to be."""
        with self._changed:
            return [*self._index, *(key for key in self._pending if key not in self._index)]

    def parent_of(self, key: bytes) -> bytes | None:
        """Key of the block before a held one; None for a first block, and for one that is not held."""
        with self._changed:
            job = self._pending.get(key)
            if job is not None:
                return job.parent
            return self._index.parent_of(key) if key in self._index else None

    def offer(self, key: bytes, payload: Payload, parent: bytes | None = None) -> bool:
        """Have a block written soon.

        Args:
            key: nothing happens when it is held already.
            payload: must not change any more.
            parent: key of the block before.

        Returns:
            Whether it is held or queued.
        """
        with self._changed:
            if key in self._index or key in self._pending:
                return True
            size_bytes = memoryview(payload).nbytes
            fits = self._pending_bytes + size_bytes <= self._queue_bytes
            if not self._writing or not fits or size_bytes + HEADER_BYTES > self._index.budget_bytes:
                self._counts.dropped += 1
                return False
            job = _Write(key, parent, memoryview(payload).cast("B").toreadonly())
            self._pending[key] = job
            self._pending_bytes += size_bytes
            self._jobs.append(job)
            self._changed.notify_all()
            return True

    def read(self, key: bytes) -> memoryview | None:
        """The payload of a block; None when it is not held, or damaged, which removes it."""
        with self._changed:
            job = self._pending.get(key)
            if job is not None:
                return job.payload
            if key not in self._index:
                return None
            path = self._path(key)
        try:
            payload = self._read_block(path, key, self._binding)
        except (DamagedBlock, OSError) as error:
            with self._changed:
                if key not in self._index:  # the writer evicted it meanwhile
                    return None
            logger.warning(
                "Removed a cached block that cannot be used",
                extra={"action": "cache.damaged", "path": str(path), "reason": str(error)},
            )
            self._forget(key, path)
            return None
        with self._changed:
            self._counts.read += 1
            self._counts.read_bytes += len(payload)
        return payload

    def touch(self, keys: Sequence[bytes]) -> None:
        """Mark as recently used, the first most of all, here and on disk."""
        with self._changed:
            self._index.touch(keys)
            late = tuple(key for key in keys if key in self._pending)
            known = tuple(key for key in keys if key in self._index or key in self._pending)
            if known:
                self._jobs.append(_Touch(known, late))
                self._changed.notify_all()

    def lock(self, keys: Iterable[bytes]) -> None:
        """Keep from eviction until `unlock`."""
        with self._changed:
            self._index.lock(keys)

    def unlock(self, keys: Iterable[bytes]) -> None:
        """Undo one `lock`."""
        with self._changed:
            self._index.unlock(keys)

    def clear(self) -> None:
        """Forget every block at once and remove the files soon."""
        with self._changed:
            paths = tuple(self._path(key) for key in self._index)
            self._index.clear()
            self._drop_pending()
            self._generation += 1
            self._jobs.append(_Unlink(paths))
            self._changed.notify_all()

    def flush(self, timeout_s: float | None = None) -> bool:
        """Wait until everything offered so far is written or dropped; returns whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._busy, timeout_s)

    def close(self) -> None:
        """Write what waits, stop the thread and let go of the directory. May be called twice."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        os.close(self._lock_descriptor)

    def stats(self) -> DiskStats:
        """Gauges and counts."""
        with self._changed:
            return DiskStats(
                num_blocks=len(self._index),
                used_bytes=self._index.used_bytes,
                budget_bytes=self._index.budget_bytes,
                pending_bytes=self._pending_bytes,
                writing=self._writing,
                total_written=self._counts.written,
                total_written_bytes=self._counts.written_bytes,
                total_read=self._counts.read,
                total_read_bytes=self._counts.read_bytes,
                total_evicted=self._counts.evicted,
                total_dropped=self._counts.dropped,
                total_damaged=self._counts.damaged,
            )

    def check_integrity(self) -> None:
        """Assert the invariants; with an empty queue also that index and directory agree."""
        with self._changed:
            self._index.check_integrity()
            assert self._pending_bytes == sum(len(job.payload) for job in self._pending.values())
            assert self._pending_bytes <= self._queue_bytes
            if self._jobs or self._busy:
                return
            for key in self._index:
                assert self._path(key).stat().st_size == self._index.size_of(key)

    # -- the loop's thread ------------------------------------------------------------------------------------------

    def _path(self, key: bytes) -> Path:
        return self._path_of(key, self._index.parent_of(key))

    def _path_of(self, key: bytes, parent: bytes | None) -> Path:
        return self.directory / key[:1].hex() / file_name(key, parent)

    def _forget(self, key: bytes, path: Path) -> None:
        with self._changed:
            if key in self._index:
                self._index.remove(key)
            self._counts.damaged += 1
        with contextlib.suppress(OSError):
            path.unlink()

    def _drop_pending(self) -> None:
        self._jobs = deque(job for job in self._jobs if not isinstance(job, _Write))
        self._pending.clear()
        self._pending_bytes = 0

    def _scan(self) -> None:
        """Fill the index from names and sizes alone; no file is opened."""
        for path in (self.directory / TEMPORARY).iterdir():
            path.unlink()
        found: list[tuple[int, bytes, bytes | None, int]] = []
        for shard in sorted(self.directory.iterdir()):
            if len(shard.name) == 2 and shard.is_dir():
                found.extend(self._scan_shard(shard))
        found.sort(key=lambda item: item[0])
        for modified_ns, key, parent, size_bytes in found:
            if size_bytes > self._index.budget_bytes:
                self._path_of(key, parent).unlink(missing_ok=True)
                continue
            if not self._index.has_room(size_bytes):
                self._evict(size_bytes)
            self._index.add(key, size_bytes, parent)
            self._last_ns = max(self._last_ns, modified_ns)

    def _scan_shard(self, shard: Path) -> Iterable[tuple[int, bytes, bytes | None, int]]:
        seen: set[bytes] = set()
        with os.scandir(shard) as entries:
            for entry in entries:
                parsed = parse_name(entry.name)
                status = entry.stat(follow_symlinks=False)
                sound = parsed is not None and parsed[0] not in seen and entry.is_file(follow_symlinks=False)
                if parsed is None or not sound or status.st_size < HEADER_BYTES or entry.name[:2] != shard.name:
                    self._reject(Path(entry.path))
                    continue
                seen.add(parsed[0])
                yield status.st_mtime_ns, parsed[0], parsed[1], status.st_size

    def _reject(self, path: Path) -> None:
        # What was not written by this store is not its to delete.
        is_ours = path.suffix == SUFFIX and (path.is_file() or path.is_symlink())
        logger.warning(
            "Removed a damaged file from the block store" if is_ours else "Ignored a foreign file in the block store",
            extra={"action": "cache.foreign", "path": str(path)},
        )
        self._counts.damaged += 1
        if is_ours:
            path.unlink()

    # -- the writer's thread ----------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._jobs or self._closing)
                if not self._jobs:
                    return
                job = self._jobs.popleft()
                generation = self._generation
                self._busy = True
            match job:
                case _Write():
                    self._write(job, generation)
                case _Touch():
                    self._set_times(job)
                case _Unlink():
                    _unlink_all(job.paths)

    def _write(self, job: _Write, generation: int) -> None:
        size_bytes = HEADER_BYTES + len(job.payload)
        path = self._path_of(job.key, job.parent)
        with self._changed:
            possible = self._writing and generation == self._generation
        if possible:
            possible = self._evict(size_bytes)
        if possible:
            possible = self._write_file(job, path)
        with self._changed:
            is_current = generation == self._generation
            if is_current:
                del self._pending[job.key]
                self._pending_bytes -= len(job.payload)
            if possible and is_current:
                self._index.add(job.key, size_bytes, job.parent)
                self._counts.written += 1
                self._counts.written_bytes += len(job.payload)
                return
            self._counts.dropped += 1
        if possible:  # cleared while it was being written
            _unlink_all((path,))

    def _write_file(self, job: _Write, path: Path) -> bool:
        self._num_temporary += 1
        temporary = self.directory / TEMPORARY / str(self._num_temporary)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._write_block(path, temporary, job.key, job.payload, self._binding)
            self._set_time(path)
        except OSError as error:
            with self._changed:
                self._writing = False
            logger.error(
                "The block store cannot be written any more; blocks stay in memory only",
                extra={"action": "cache.disk_off", "path": str(self.directory), "reason": str(error)},
            )
            return False
        return True

    def _evict(self, size_bytes: int) -> bool:
        with self._changed:
            evicted = self._index.make_room(size_bytes)
            self._counts.evicted += len(evicted)
            fits = self._index.has_room(size_bytes)
        _unlink_all([self._path_of(block.key, block.parent) for block in evicted])
        return fits

    def _set_times(self, job: _Touch) -> None:
        with self._changed:
            self._index.touch(job.late)
        for key in reversed(job.keys):
            with self._changed:
                path = self._path(key) if key in self._index else None
            if path is not None:
                self._set_time(path)

    def _set_time(self, path: Path) -> None:
        # Strictly rising, since the order is what counts and a clock may stand still or go back.
        self._last_ns = max(self._last_ns + 1, self._clock_ns())
        with contextlib.suppress(OSError):
            os.utime(path, ns=(self._last_ns, self._last_ns))


def _unlink_all(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()
