"""Where recorded answers are kept: in memory, or in a directory behind it; `redis_answers` has a store for gateways.

Values are bytes that nobody here looks into. A store that fails is a store that has nothing: an answer is then made by
the model, which is what happens without a cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from seekd.engine.cache.tier_index import TierIndex
from seekd.errors import ConfigError

_log = logging.getLogger(__name__)

_ENTRY_BYTES = 300  # what a name and its bookkeeping take besides the value, about
_DIGEST_BYTES = 16


class AnswerStore(Protocol):
    """Keeps values for a while, within a budget; the least recently used ones go first."""

    async def open(self) -> None:
        """Find what an earlier server has left."""

    async def get(self, name: str) -> bytes | None:
        """A value whose lifetime is not over."""

    async def put(self, name: str, value: bytes) -> None:
        """Keep a value, in place of the one of that name. One that does not fit is not kept."""

    async def close(self) -> None:
        """Give everything back; what is meant to stay stays."""

    @property
    def num_bytes(self) -> dict[str, int]:
        """Bytes that are held, by place."""


class MemoryStore:
    """Values in memory.

    Args:
        budget_bytes: for all of them together.
        lifetime_s: of each.
        clock: seconds since 1970.
    """

    def __init__(self, *, budget_bytes: int, lifetime_s: float, clock: Callable[[], float] = time.time) -> None:
        self._index = TierIndex(budget_bytes)
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._values: dict[bytes, tuple[float, bytes]] = {}

    async def open(self) -> None:
        """Nothing outlives a process here."""

    async def get(self, name: str) -> bytes | None:
        """A value whose lifetime is not over."""
        return self.get_now(name)

    def get_now(self, name: str) -> bytes | None:
        """The same, without a wait."""
        key = name.encode()
        expires_s, value = self._values.get(key, (0.0, None))
        if value is None:
            return None
        if expires_s <= self._clock():
            self._drop(key)
            return None
        self._index.touch([key])
        return value

    async def put(self, name: str, value: bytes) -> None:
        """Keep a value."""
        self.put_until(name, value, expires_s=self._clock() + self._lifetime_s)

    def put_until(self, name: str, value: bytes, *, expires_s: float) -> None:
        """Keep a value until a moment, in seconds since 1970."""
        key = name.encode()
        if key in self._values:
            self._drop(key)
        size = len(value) + _ENTRY_BYTES
        for evicted in self._index.make_room(size):
            del self._values[evicted.key]
        if self._index.has_room(size):
            self._index.add(key, size)
            self._values[key] = (expires_s, value)

    async def close(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._index.clear()

    @property
    def num_bytes(self) -> dict[str, int]:
        """Bytes that are held."""
        return {"ram": self._index.used_bytes}

    def _drop(self, key: bytes) -> None:
        del self._values[key]
        self._index.remove(key)


class DirectoryStore:
    """Values in files, and the recently used ones in memory, too.

        <directory>/<name>    expiry (8 bytes, ms since 1970) | digest (16 bytes) | value

    A file is written beside its name and then renamed, so that a killed server leaves whole values only; the digest
    finds what a disk has spoiled. A file's time of change tells the next server when it was last used.

    Args:
        directory: made with mode 0700.
        memory: for the recently used.
        budget_bytes: for all files together.
        lifetime_s: of each.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        directory: Path,
        *,
        memory: MemoryStore,
        budget_bytes: int,
        lifetime_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._memory = memory
        self._index = TierIndex(budget_bytes)
        self._lifetime_s = lifetime_s
        self._clock = clock

    async def open(self) -> None:
        """Find what an earlier server has left."""
        for name, size in await asyncio.to_thread(self._scan):
            self._add(name, size)

    async def get(self, name: str) -> bytes | None:
        """A value whose lifetime is not over."""
        value = self._memory.get_now(name)
        key = name.encode()
        if value is not None or key not in self._index:
            return value
        content = await asyncio.to_thread(self._read, name)
        expires_s = 0.0 if content is None else int.from_bytes(content[:8], "big") / 1000
        if content is None or expires_s <= self._clock() or not _is_whole(content):
            self._forget(name)
            return None
        self._index.touch([key])
        value = content[8 + _DIGEST_BYTES :]
        self._memory.put_until(name, value, expires_s=expires_s)
        return value

    async def put(self, name: str, value: bytes) -> None:
        """Keep a value."""
        expires_s = self._clock() + self._lifetime_s
        self._memory.put_until(name, value, expires_s=expires_s)
        content = int(expires_s * 1000).to_bytes(8, "big")
        content += _digest(content, value) + value
        if len(content) > self._index.budget_bytes:
            return
        try:
            await asyncio.to_thread(self._write, name, content)
        except OSError as error:
            extra = {"action": "response_cache_failed", "reason": str(error)}
            _log.warning("an answer cannot be kept on disk", extra=extra)
            return
        self._add(name, len(content))

    async def close(self) -> None:
        """Forget what is in memory; the files stay."""
        await self._memory.close()

    @property
    def num_bytes(self) -> dict[str, int]:
        """Bytes that are held."""
        return {**self._memory.num_bytes, "disk": self._index.used_bytes}

    def _add(self, name: str, size: int) -> None:
        key = name.encode()
        if key in self._index:
            self._index.remove(key)
        for evicted in self._index.make_room(size):
            self._unlink(evicted.key.decode())
        self._index.add(key, size)

    def _forget(self, name: str) -> None:
        if name.encode() in self._index:
            self._index.remove(name.encode())
        self._unlink(name)

    def _scan(self) -> list[tuple[str, int]]:
        """Names and sizes, the least recently used first; what was being written when a server died is removed."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = []
            for path in self._directory.iterdir():
                if path.suffix:
                    path.unlink(missing_ok=True)
                else:
                    status = path.stat()
                    found.append((status.st_mtime_ns, path.name, status.st_size))
        except OSError as error:
            raise ConfigError(f"The directory {self._directory} cannot be used: {error}.") from error
        return [(name, size) for _, name, size in sorted(found)]

    def _read(self, name: str) -> bytes | None:
        path = self._directory / name
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return content

    def _write(self, name: str, content: bytes) -> None:
        path = self._directory / name
        temporary = path.with_suffix(".tmp")
        with open(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
            file.write(content)
        temporary.replace(path)

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._directory / name).unlink(missing_ok=True)


def _digest(head: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_DIGEST_BYTES, key=head).digest()


def _is_whole(content: bytes) -> bool:
    head, digest, value = content[:8], content[8 : 8 + _DIGEST_BYTES], content[8 + _DIGEST_BYTES :]
    return digest == _digest(head, value)
