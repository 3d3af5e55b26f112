"""The block store alone: writing behind, reading from page cache, and finding 100,000 blocks at start.

    python bench/block_store.py [--directory DIRECTORY]

No model is needed; a block is as large as 64 tokens of a 0.5B model's keys and values in half precision.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from seekd.engine.cache.disk_tier import DiskTier

BLOCK_BYTES = 64 * 24 * 2 * 128 * 2
NUM_BLOCKS = 512
NUM_NAMES = 100_000


def say(name: str, value: str, bar: str = "") -> None:
    print(f"{name:58} {value:>24}{f'   bar {bar}' if bar else ''}", flush=True)


def keys(count: int) -> Iterator[bytes]:
    for number in range(count):
        yield bytes([number % 256]) + number.to_bytes(15, "big")


def fill(tier: DiskTier, count: int, payload: bytes) -> float:
    """Offer blocks as fast as the queue takes them; the seconds until all are written."""
    started_s = time.perf_counter()
    for key in keys(count):
        while not tier.offer(key, payload):
            time.sleep(0.001)
    tier.flush()
    return time.perf_counter() - started_s


def large_blocks(directory: Path) -> None:
    with DiskTier(directory, binding="bench", budget_bytes=8 << 30) as tier:
        written_s = fill(tier, NUM_BLOCKS, os.urandom(BLOCK_BYTES))
        started_s = time.perf_counter()
        for key in keys(NUM_BLOCKS):
            assert tier.read(key) is not None
        read_s = time.perf_counter() - started_s
    num_bytes = NUM_BLOCKS * BLOCK_BYTES
    say(f"writing {NUM_BLOCKS} blocks of {BLOCK_BYTES >> 10} KiB", f"{num_bytes / written_s / 1e6:.0f} MB/s")
    say("reading and checking them from page cache", f"{num_bytes / read_s / 1e6:.0f} MB/s", ">= 500 MB/s")


def many_blocks(directory: Path) -> None:
    with DiskTier(directory, binding="bench", budget_bytes=8 << 30) as tier:
        fill(tier, NUM_NAMES, b"x" * 100)
    started_s = time.perf_counter()
    with DiskTier(directory, binding="bench", budget_bytes=8 << 30) as tier:
        opened_s = time.perf_counter() - started_s
        assert tier.stats().num_blocks == NUM_NAMES
    say(f"finding {NUM_NAMES} blocks at start", f"{opened_s:.2f} s")


def main() -> None:
    """Measure in a temporary directory on the disk of `--directory`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    for measure in (large_blocks, many_blocks):
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            measure(Path(directory) / "store")


if __name__ == "__main__":
    main()
