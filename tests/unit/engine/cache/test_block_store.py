from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from seekd.engine.cache.block_file import HEADER_BYTES
from seekd.engine.cache.block_store import BlockStore, open_block_store
from seekd.engine.cache.disk_tier import DiskTier
from seekd.engine.cache.store_directory import binding_digest
from seekd.engine.cache.tier_index import Tier


def key_of(number: int) -> bytes:
    return number.to_bytes(16, "little")


def payload_of(number: int) -> bytes:
    return random.Random(number).randbytes(100 + number * 10)


@pytest.mark.parametrize("seed", range(10))
def test_random_operations_agree_with_a_dict(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    disk = None
    if source.random() < 0.6:
        disk = DiskTier(tmp_path, binding="", budget_bytes=source.choice([2000, 1 << 20]))
    ram_bytes = source.choice([0, 500, 3000, 1 << 20])
    put: dict[bytes, bytes] = {}
    locks: list[list[bytes]] = []
    with BlockStore(ram_budget_bytes=ram_bytes, disk=disk) as store:
        for _ in range(200):
            number = source.randrange(25)
            key = key_of(number)
            action = source.random()
            if action < 0.4:
                store.put(key, payload_of(number), key_of(number - 1) if number % 5 else None)
                put[key] = payload_of(number)
                assert ram_bytes < (1 << 20) or store.find(key) is Tier.RAM
            elif action < 0.6:
                held = store.get(key)
                assert held is None or bytes(held) == put[key]
                assert held is not None or store.find(key) is None
            elif action < 0.65:
                numbers = [source.randrange(25) for _ in range(source.randrange(6))]
                wanted = source.randrange(7)  # the caller may want no more
                for other, held in zip(numbers[:wanted], store.get_each([key_of(n) for n in numbers]), strict=False):
                    assert held is None or bytes(held) == put[key_of(other)]
                    assert held is not None or store.find(key_of(other)) is None
            elif action < 0.7:
                chain = [key_of(n) for n in range(number // 5 * 5, number + 1)]
                store.lock(chain)
                store.touch(chain)
                before = {k: store.find(k) for k in chain}
                store.evict(source.randrange(2000))
                assert {k: store.find(k) for k in chain} == before
                locks.append(chain)
            elif action < 0.8 and locks:
                store.unlock(locks.pop())
            elif action < 0.82:
                store.clear()
                put.clear()
                assert list(store.held_keys()) == []
            assert set(store.held_keys()) <= set(put)
            if source.random() < 0.2:
                store.flush(20)
            store.check_integrity()
        stats = store.stats()
        assert stats.ram_used_bytes <= stats.ram_budget_bytes == ram_bytes
        assert (stats.disk is None) == (disk is None)


def test_what_ram_evicts_comes_back_from_disk(tmp_path: Path) -> None:
    with BlockStore(ram_budget_bytes=250, disk=DiskTier(tmp_path, binding="", budget_bytes=1 << 20)) as store:
        for number in range(5):
            store.put(key_of(number), payload_of(number))
        store.flush()
        assert [store.find(key_of(number)) for number in range(5)] == [Tier.DISK] * 4 + [Tier.RAM]
        assert bytes(store.get(key_of(0)) or b"") == payload_of(0)
        assert store.find(key_of(0)) is Tier.RAM
        assert store.stats().total_ram_evicted == 4


def test_without_disk_what_ram_evicts_is_gone() -> None:
    store = BlockStore(ram_budget_bytes=120)
    store.put(key_of(0), payload_of(0))
    store.put(key_of(1), payload_of(1))
    assert store.find(key_of(0)) is None
    assert store.get(key_of(0)) is None
    assert store.flush()
    store.close()


def test_a_payload_is_read_only_and_not_copied() -> None:
    store = BlockStore(ram_budget_bytes=1000)
    payload = b"x" * 100
    store.put(key_of(1), payload)
    held = store.get(key_of(1))
    assert held is not None
    assert held.readonly
    assert held.obj is payload


def test_a_second_server_on_the_directory_works_without_its_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def open_one() -> BlockStore:
        return open_block_store(
            ram_budget_bytes=1000, disk_budget_bytes=1 << 20, root=tmp_path, binding="model", wait_s=0.0
        )

    with open_one() as first, caplog.at_level(logging.WARNING):
        with open_one() as second:
            assert "in use by another process" in caplog.text
            assert second.stats().disk is None
            second.put(key_of(1), b"x")
            assert second.find(key_of(1)) is Tier.RAM
        assert first.stats().disk is not None


def test_a_budget_of_zero_turns_a_tier_off(tmp_path: Path) -> None:
    with open_block_store(ram_budget_bytes=0, disk_budget_bytes=0, root=tmp_path / "a", binding="") as store:
        store.put(key_of(1), b"x")
        assert store.find(key_of(1)) is None
        assert not (tmp_path / "a").exists()
    with open_block_store(ram_budget_bytes=0, disk_budget_bytes=9, root=None, binding="") as store:
        assert store.stats().disk is None


def test_models_have_directories_of_their_own_under_one_budget(tmp_path: Path) -> None:
    size = HEADER_BYTES + 100
    for number, model in enumerate(("old", "new")):
        with open_block_store(ram_budget_bytes=0, disk_budget_bytes=10 * size, root=tmp_path, binding=model) as store:
            for block in range(4):
                store.put(key_of(number * 10 + block), bytes(100))
    assert (tmp_path / binding_digest("old").hex()).exists()
    with open_block_store(ram_budget_bytes=0, disk_budget_bytes=6 * size, root=tmp_path, binding="third") as store:
        assert store.stats().disk is not None
    assert not (tmp_path / binding_digest("old").hex()).exists()
    assert (tmp_path / binding_digest("new").hex()).exists()
