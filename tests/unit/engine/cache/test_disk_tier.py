from __future__ import annotations

import errno
import logging
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seekd.engine.cache.block_file import HEADER_BYTES, file_name, read_block, write_block
from seekd.engine.cache.disk_tier import DiskTier
from seekd.engine.cache.store_directory import read_binding
from seekd.engine.cache.tier_index import Payload
from seekd.errors import StoreError

Opener = Callable[..., DiskTier]


@pytest.fixture
def open_tier(tmp_path: Path) -> Iterator[Opener]:
    opened: list[DiskTier] = []

    def open_one(**changes: object) -> DiskTier:
        settings: dict[str, object] = {"binding": "model", "budget_bytes": 1 << 20} | changes
        tier = DiskTier(tmp_path / "store", **settings)  # type: ignore[arg-type]
        opened.append(tier)
        return tier

    yield open_one
    for tier in opened:
        tier.close()


def key_of(number: int) -> bytes:
    return number.to_bytes(1, "big") + number.to_bytes(15, "big")


def payload_of(number: int, size: int = 1000) -> bytes:
    return random.Random(number).randbytes(size)


def block_path(tmp_path: Path, number: int, parent: int | None = None) -> Path:
    name = file_name(key_of(number), None if parent is None else key_of(parent))
    return tmp_path / "store" / key_of(number)[:1].hex() / name


def test_blocks_are_found_again_by_the_next_process(open_tier: Opener) -> None:
    with open_tier() as tier:
        for number in range(20):
            assert tier.offer(key_of(number), payload_of(number), key_of(number - 1) if number else None)
        assert bytes(tier.read(key_of(19)) or b"") == payload_of(19)
    with open_tier() as tier:
        tier.check_integrity()
        for number in range(20):
            assert key_of(number) in tier
            assert bytes(tier.read(key_of(number)) or b"") == payload_of(number)
            assert tier.parent_of(key_of(number)) == (key_of(number - 1) if number else None)
        assert tier.read(key_of(99)) is None
        assert tier.parent_of(key_of(99)) is None
        stats = tier.stats()
        assert (stats.num_blocks, stats.used_bytes) == (20, 20 * (1000 + HEADER_BYTES))
        assert (stats.total_read, stats.total_read_bytes, stats.total_damaged) == (20, 20_000, 0)
        assert sorted(tier.held_keys()) == [key_of(number) for number in range(20)]


def test_only_the_owner_may_enter(open_tier: Opener, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_tier() as tier:
            tier.offer(key_of(1), b"x")
            tier.flush()
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("*") if path.is_dir()}
        assert modes | {stat.S_IMODE((tmp_path / "store").stat().st_mode)} == {0o700}
        files = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("*") if path.is_file()}
        assert files == {0o600}
    finally:
        os.umask(before)


@pytest.mark.fault("damaged-cache-block")
def test_damaged_blocks_are_removed_and_logged_once(
    open_tier: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_tier() as tier:
        for number in range(3):
            tier.offer(key_of(number), payload_of(number))
    path = block_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with open_tier() as tier, caplog.at_level(logging.WARNING):
        assert tier.read(key_of(1)) is None
        assert tier.read(key_of(1)) is None
        assert key_of(1) not in tier
        assert not path.exists()
        assert len(caplog.records) == 1
        assert tier.stats().total_damaged == 1
        assert bytes(tier.read(key_of(2)) or b"") == payload_of(2)
        assert tier.offer(key_of(1), payload_of(1))
        tier.flush()
        tier.check_integrity()
        assert bytes(tier.read(key_of(1)) or b"") == payload_of(1)


@pytest.mark.fault("foreign-cache-block")
def test_blocks_of_another_model_are_not_used(open_tier: Opener, tmp_path: Path) -> None:
    with open_tier(binding="one model") as tier:
        tier.offer(key_of(1), payload_of(1))
    assert read_binding(tmp_path / "store") == "one model"
    with open_tier(binding="another model") as tier:
        assert tier.read(key_of(1)) is None
        assert tier.stats().total_damaged == 1
    assert read_binding(tmp_path / "store") == "another model"


def test_what_is_not_a_block_is_ignored_and_what_is_broken_removed(
    open_tier: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_tier() as tier:
        tier.offer(key_of(1), payload_of(1))
    store = tmp_path / "store"
    foreign = store / "01" / "notes.txt"
    foreign.write_text("mine")
    (store / "01" / "folder.kv").mkdir()
    short = block_path(tmp_path, 2)
    short.parent.mkdir()
    short.write_bytes(b"short")
    misplaced = store / "01" / file_name(key_of(7), None)
    misplaced.write_bytes(bytes(500))
    double = store / "01" / file_name(key_of(1), key_of(3))
    double.write_bytes(bytes(500))
    link = store / "01" / file_name(b"\1" * 16, None)
    link.symlink_to(foreign)
    unfinished = store / "tmp" / "17"
    unfinished.write_bytes(b"half")
    with caplog.at_level(logging.WARNING), open_tier() as tier:
        assert tier.stats().num_blocks == 1
        assert len(caplog.records) == 6
        tier.check_integrity()
    assert foreign.read_text() == "mine"
    assert not any(path.exists() for path in (short, misplaced, unfinished))
    assert not link.is_symlink()


@pytest.mark.parametrize("seed", range(6))
def test_random_operations_agree_with_a_dict(open_tier: Opener, seed: int) -> None:
    source = random.Random(seed)
    tier = open_tier(budget_bytes=source.choice([0, 5000, 20_000, 1 << 20]))
    offered: dict[bytes, bytes] = {}
    locks: list[list[bytes]] = []
    for _ in range(150):
        number = source.randrange(30)
        key = key_of(number)
        action = source.random()
        if action < 0.5:
            payload = payload_of(number, source.choice([10, 1000, 3000]))
            if key not in tier and tier.offer(key, payload, key_of(number - 1) if number % 5 else None):
                offered[key] = payload
        elif action < 0.7:
            chain = [key_of(n) for n in range(number // 5 * 5, number + 1)]
            tier.touch(chain)
            tier.lock(chain)
            locks.append(chain)
        elif action < 0.8 and locks:
            tier.unlock(locks.pop())
        elif action < 0.82:
            tier.clear()
            offered.clear()
            assert tier.held_keys() == []
        elif action < 0.85:
            tier.close()
            tier = open_tier(budget_bytes=tier.stats().budget_bytes)
            locks.clear()
        else:
            read = tier.read(key)
            assert (read is not None) == (key in tier) or read is None
            if read is not None:
                assert bytes(read) == offered[key]
        if source.random() < 0.3:
            assert tier.flush(20)
        tier.check_integrity()
        assert set(tier.held_keys()) <= set(offered)
    assert tier.flush(20)
    tier.check_integrity()
    assert tier.stats().total_damaged == 0


def test_the_least_recently_used_chain_goes_first_also_after_a_restart(open_tier: Opener) -> None:
    size = 1000 + HEADER_BYTES
    with open_tier() as tier:
        for chain in range(3):
            for depth in range(4):
                number = chain * 10 + depth
                tier.offer(key_of(number), payload_of(number), key_of(number - 1) if depth else None)
        tier.touch([key_of(number) for number in range(4)])
    with open_tier(budget_bytes=7 * size) as tier:
        tier.check_integrity()
        assert sorted(tier.held_keys()) == [key_of(number) for number in (0, 1, 2, 3, 20, 21, 22)]
        tier.offer(key_of(50), payload_of(50))
        tier.flush()
        assert key_of(22) not in tier
        assert tier.stats().total_evicted == 6


def test_the_queue_is_bounded_and_what_does_not_fit_is_counted(open_tier: Opener) -> None:
    gate = threading.Event()

    def slow(path: Path, temporary: Path, key: bytes, payload: Payload, binding: bytes) -> int:
        gate.wait(20)
        return write_block(path, temporary, key, payload, binding)

    tier = open_tier(queue_bytes=2500, write=slow)
    taken = [tier.offer(key_of(number), payload_of(number)) for number in range(5)]
    assert taken == [True, True, False, False, False]
    assert tier.offer(key_of(0), payload_of(0))
    assert bytes(tier.read(key_of(1)) or b"") == payload_of(1)
    assert (tier.stats().total_dropped, tier.stats().pending_bytes) == (3, 2000)
    assert not tier.flush(0.01)
    gate.set()
    assert tier.flush(20)
    assert (tier.stats().num_blocks, tier.stats().pending_bytes) == (2, 0)
    tier.check_integrity()


def test_what_is_being_written_while_the_store_is_cleared_does_not_come_back(open_tier: Opener, tmp_path: Path) -> None:
    gate, started = threading.Event(), threading.Event()

    def slow(path: Path, temporary: Path, key: bytes, payload: Payload, binding: bytes) -> int:
        started.set()
        gate.wait(20)
        return write_block(path, temporary, key, payload, binding)

    tier = open_tier(write=slow)
    tier.offer(key_of(1), payload_of(1))
    tier.offer(key_of(2), payload_of(2))
    assert started.wait(20)
    tier.clear()
    tier.offer(key_of(1), payload_of(3))
    gate.set()
    assert tier.flush(20)
    assert tier.held_keys() == [key_of(1)]
    assert bytes(tier.read(key_of(1)) or b"") == payload_of(3)
    assert len(list((tmp_path / "store").rglob("*.kv"))) == 1
    tier.check_integrity()


@pytest.mark.fault("disk-full-for-the-cache")
def test_a_full_disk_turns_writing_off_and_reading_goes_on(open_tier: Opener, caplog: pytest.LogCaptureFixture) -> None:
    def full(path: Path, temporary: Path, key: bytes, payload: Payload, binding: bytes) -> int:
        if key != key_of(1):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_block(path, temporary, key, payload, binding)

    tier = open_tier(write=full)
    tier.offer(key_of(1), payload_of(1))
    tier.flush()
    with caplog.at_level(logging.ERROR):
        for number in range(2, 6):
            tier.offer(key_of(number), payload_of(number))
        tier.flush()
    assert [record.__dict__["action"] for record in caplog.records] == ["cache.disk_off"]
    stats = tier.stats()
    assert (stats.writing, stats.num_blocks, stats.pending_bytes) == (False, 1, 0)
    assert stats.total_dropped == 4
    assert not tier.offer(key_of(9), b"x")
    assert bytes(tier.read(key_of(1)) or b"") == payload_of(1)


_WRITER = """
import itertools, pathlib, random, sys
from seekd.engine.cache.disk_tier import DiskTier
tier = DiskTier(pathlib.Path(sys.argv[1]), binding="model", budget_bytes=3_000_000)
for number in itertools.count(int(sys.argv[2])):
    key = bytes([number % 256]) + number.to_bytes(15, "big")
    tier.offer(key, random.Random(number).randbytes(50_000))
    if number % 50 == 0:
        tier.flush()
        print("written", flush=True)
"""


@pytest.mark.fault("killed-while-writing-a-block")
def test_a_writer_killed_at_any_point_leaves_a_usable_store(tmp_path: Path) -> None:
    source = random.Random(3)
    for turn in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(turn * 100_000)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(source.randrange(1, 4)):
            assert writer.stdout.readline() == b"written\n"
        threading.Event().wait(source.random() * 0.02)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with DiskTier(tmp_path, binding="model", budget_bytes=3_000_000) as tier:
            tier.check_integrity()
            assert len(tier.held_keys()) > 0
            for key in tier.held_keys():
                expected = random.Random(int.from_bytes(key[1:], "big")).randbytes(50_000)
                assert bytes(tier.read(key) or b"") == expected
            assert tier.stats().total_damaged == 0
        assert list((tmp_path / "tmp").iterdir()) == []


def test_blocks_larger_than_the_budget_do_not_survive_a_smaller_budget(open_tier: Opener, tmp_path: Path) -> None:
    with open_tier() as tier:
        tier.offer(key_of(1), payload_of(1, 5000))
        tier.offer(key_of(2), payload_of(2, 10))
    with open_tier(budget_bytes=1000) as tier:
        assert tier.held_keys() == [key_of(2)]
        assert not tier.offer(key_of(3), payload_of(3, 1000))
    assert not block_path(tmp_path, 1).exists()


def test_a_directory_that_cannot_be_read_is_let_go_of(open_tier: Opener, tmp_path: Path) -> None:
    open_tier().close()
    (tmp_path / "store" / "tmp" / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        open_tier()
    (tmp_path / "store" / "tmp" / "folder").rmdir()
    open_tier().close()


def test_the_order_of_use_survives_a_clock_that_stands_still(open_tier: Opener) -> None:
    with open_tier(clock_ns=lambda: 10**18) as tier:
        for number in (3, 1, 2):
            tier.offer(key_of(number), payload_of(number))
        tier.touch([key_of(3)])
    size = 1000 + HEADER_BYTES
    with open_tier(budget_bytes=2 * size) as tier:
        assert sorted(tier.held_keys()) == [key_of(2), key_of(3)]


def test_a_block_that_is_used_before_it_is_written_counts_as_used(open_tier: Opener) -> None:
    gate = threading.Event()

    def slow(path: Path, temporary: Path, key: bytes, payload: Payload, binding: bytes) -> int:
        gate.wait(20)
        return write_block(path, temporary, key, payload, binding)

    tier = open_tier(budget_bytes=2 * (1000 + HEADER_BYTES), write=slow)
    tier.offer(key_of(1), payload_of(1))
    tier.offer(key_of(2), payload_of(2))
    tier.touch([key_of(1)])
    gate.set()
    tier.flush(20)
    tier.offer(key_of(3), payload_of(3))
    tier.flush(20)
    assert sorted(tier.held_keys()) == [key_of(1), key_of(3)]


def test_a_block_that_is_evicted_while_it_is_read_is_a_miss_and_not_damage(open_tier: Opener) -> None:
    tiers: list[DiskTier] = []

    def late(path: Path, key: bytes, binding: bytes) -> memoryview:
        tiers[0].offer(key_of(2), payload_of(2))
        tiers[0].flush(20)
        return read_block(path, key, binding)

    tiers.append(open_tier(budget_bytes=1000 + HEADER_BYTES, read=late))
    tiers[0].offer(key_of(1), payload_of(1))
    tiers[0].flush(20)
    assert tiers[0].read(key_of(1)) is None
    assert (tiers[0].stats().total_damaged, tiers[0].held_keys()) == (0, [key_of(2)])
