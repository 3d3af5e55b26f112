"""Looks at and clears block stores from outside, for the command line and at start.

Takes no lock except to make sure that a store it removes is not in use.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seekd.engine.cache.block_file import parse_name
from seekd.engine.cache.store_directory import lock_directory, read_binding
from seekd.errors import StoreError


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSummary:
    """One store under a root.

    Attributes:
        binding: what its blocks belong to; empty when unknown.
        newest_s, oldest_s: last use of the most and the least recently used block, Unix time; None without blocks.
        in_use: whether a process holds it.
    """

    directory: Path
    binding: str
    num_blocks: int
    used_bytes: int
    newest_s: float | None
    oldest_s: float | None
    in_use: bool


def inspect_stores(root: Path) -> list[StoreSummary]:
    """Summaries of the stores under `root`, most recently used first; reads names and sizes only.

    Raises:
        StoreError: the root exists and cannot be read.
    """
    try:
        summaries = [_summary(directory) for directory in _directories(root)]
    except OSError as error:
        raise StoreError(f"The cache directory {root} cannot be read: {error.strerror}.") from error
    return sorted(summaries, key=lambda summary: summary.newest_s or 0, reverse=True)


def clear_stores(root: Path) -> list[StoreSummary]:
    """Remove every store under `root` that no process uses; returns the removed ones.

    Raises:
        StoreError: something could not be removed.
    """
    return [summary for summary in inspect_stores(root) if _remove(summary.directory)]


def make_room_beside(directory: Path, *, budget_bytes: int) -> None:
    """Remove unused stores of other models or builds, least recently used first, until they fit what is left.

    Args:
        directory: the store that is in use; its siblings are looked at.
        budget_bytes: for all siblings together; stores in use count and stay.

    Raises:
        StoreError: the root cannot be read, or a store cannot be removed.
    """
    siblings = [path for path in _directories(directory.parent) if path != directory]
    summaries = sorted(map(_summary, siblings), key=lambda summary: summary.newest_s or 0)
    total = sum(summary.used_bytes for summary in summaries)
    for summary in summaries:
        if total > budget_bytes and _remove(summary.directory):
            total -= summary.used_bytes


def _directories(root: Path) -> Iterator[Path]:
    if root.exists():
        for path in sorted(root.iterdir()):
            if (path / "store.json").is_file():
                yield path


def _summary(directory: Path) -> StoreSummary:
    num_blocks = used_bytes = 0
    times: list[float] = []
    for shard in directory.iterdir():
        if len(shard.name) != 2 or not shard.is_dir():
            continue
        with os.scandir(shard) as entries:
            for entry in entries:
                if parse_name(entry.name) is None:
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # evicted meanwhile
                    continue
                num_blocks += 1
                used_bytes += status.st_size
                times.append(status.st_mtime)
    descriptor = lock_directory(directory)
    if descriptor is not None:
        os.close(descriptor)
    return StoreSummary(
        directory=directory,
        binding=read_binding(directory),
        num_blocks=num_blocks,
        used_bytes=used_bytes,
        newest_s=max(times, default=None),
        oldest_s=min(times, default=None),
        in_use=descriptor is None,
    )


def _remove(directory: Path) -> bool:
    descriptor = None
    try:
        descriptor = lock_directory(directory)
        if descriptor is None:
            return False
        shutil.rmtree(directory)
    except OSError as error:
        raise StoreError(f"The cache directory {directory} cannot be removed: {error.strerror}.") from error
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True
