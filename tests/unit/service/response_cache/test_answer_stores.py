import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seekd.errors import ConfigError
from seekd.service.response_cache.answer_stores import AnswerStore, DirectoryStore, MemoryStore


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


CLOCK = Clock()


def memory(budget_bytes: int = 10_000) -> MemoryStore:
    return MemoryStore(budget_bytes=budget_bytes, lifetime_s=10.0, clock=CLOCK)


def directory(path: Path, *, ram: int = 0, disk: int = 10_000) -> DirectoryStore:
    return DirectoryStore(path, memory=memory(ram), budget_bytes=disk, lifetime_s=10.0, clock=CLOCK)


@pytest.fixture(params=["memory", "directory", "both"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AnswerStore:
    makers: dict[str, Callable[[], AnswerStore]] = {
        "memory": memory,
        "directory": lambda: directory(tmp_path / "answers"),
        "both": lambda: directory(tmp_path / "answers", ram=2000),
    }
    return makers[request.param]()


async def test_values_are_kept_replaced_and_forgotten_after_their_lifetime(store: AnswerStore) -> None:
    await store.open()
    assert await store.get("a") is None
    await store.put("a", b"one")
    await store.put("a", b"two")
    assert await store.get("a") == b"two"
    started_s = CLOCK.now_s
    CLOCK.now_s = started_s + 9.9
    assert await store.get("a") == b"two"
    CLOCK.now_s = started_s + 10.0
    assert await store.get("a") is None
    assert set(store.num_bytes.values()) == {0}
    await store.close()


async def test_the_least_recently_used_make_room_and_the_budget_holds(store: AnswerStore) -> None:
    await store.open()
    for number in range(100):
        await store.put(f"{number:02}", bytes(400))
        assert await store.get("00") == bytes(400)  # used all the time
        assert all(held <= 10_000 for held in store.num_bytes.values())
    assert await store.get("99") == bytes(400)
    assert await store.get("50") is None
    await store.put("too large", bytes(20_000))
    assert await store.get("too large") is None
    assert await store.get("99") == bytes(400)
    await store.close()


async def test_files_outlive_the_store_in_the_order_of_their_use(tmp_path: Path) -> None:
    first = directory(tmp_path / "answers")
    await first.open()
    for number, name in enumerate(("old", "used", "new")):
        await first.put(name, name.encode())
        os.utime(tmp_path / "answers" / name, (number, number))
    await first.get("old")
    (tmp_path / "answers" / "cut.tmp").write_bytes(b"being written when the server died")
    second = directory(tmp_path / "answers", disk=70)
    await second.open()
    assert [await second.get(name) for name in ("old", "used", "new")] == [b"old", None, b"new"]
    assert sorted(path.name for path in (tmp_path / "answers").iterdir()) == ["new", "old"]


async def test_a_spoiled_or_vanished_file_is_an_answer_less(tmp_path: Path) -> None:
    store = directory(tmp_path / "answers")
    await store.open()
    for name in ("spoiled", "vanished", "short"):
        await store.put(name, b"value")
    (tmp_path / "answers" / "vanished").unlink()
    (tmp_path / "answers" / "short").write_bytes(b"x")
    content = bytearray((tmp_path / "answers" / "spoiled").read_bytes())
    content[0] ^= 1  # would make it live longer
    (tmp_path / "answers" / "spoiled").write_bytes(content)
    assert [await store.get(name) for name in ("spoiled", "vanished", "short")] == [None] * 3
    assert store.num_bytes["disk"] == 0


async def test_a_directory_that_takes_no_files_costs_only_its_hits(tmp_path: Path) -> None:
    store = directory(tmp_path / "answers")
    await store.open()
    (tmp_path / "answers").rmdir()
    await store.put("a", b"value")
    assert await store.get("a") is None
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError):
        await directory(tmp_path / "file").open()
