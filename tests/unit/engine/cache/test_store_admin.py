from __future__ import annotations

from pathlib import Path

import pytest

from seekd.engine.cache.block_file import HEADER_BYTES
from seekd.engine.cache.block_store import open_block_store
from seekd.engine.cache.store_admin import clear_stores, inspect_stores, make_room_beside
from seekd.errors import StoreError


def fill(root: Path, binding: str, count: int) -> None:
    with open_block_store(ram_budget_bytes=0, disk_budget_bytes=1 << 20, root=root, binding=binding) as store:
        for number in range(count):
            store.put(number.to_bytes(16, "little"), bytes(50))


def test_stores_are_listed_with_their_sizes(tmp_path: Path) -> None:
    fill(tmp_path, "a", 3)
    fill(tmp_path, "empty", 0)
    (tmp_path / "something else").mkdir()
    summaries = inspect_stores(tmp_path)
    assert [(s.binding, s.num_blocks, s.used_bytes, s.in_use) for s in summaries] == [
        ("a", 3, 3 * (50 + HEADER_BYTES), False),
        ("empty", 0, 0, False),
    ]
    assert summaries[0].newest_s is not None
    assert summaries[0].oldest_s is not None
    assert summaries[0].oldest_s <= summaries[0].newest_s
    assert summaries[1].newest_s is None
    assert inspect_stores(tmp_path / "missing") == []


def test_clearing_spares_what_is_in_use_and_what_is_not_a_store(tmp_path: Path) -> None:
    fill(tmp_path, "a", 3)
    (tmp_path / "something else").mkdir()
    with open_block_store(ram_budget_bytes=0, disk_budget_bytes=1 << 20, root=tmp_path, binding="b"):
        assert {(s.binding, s.in_use) for s in inspect_stores(tmp_path)} == {("a", False), ("b", True)}
        assert [summary.binding for summary in clear_stores(tmp_path)] == ["a"]
        assert [summary.binding for summary in inspect_stores(tmp_path)] == ["b"]
    assert (tmp_path / "something else").exists()


def test_a_root_that_is_a_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        inspect_stores(tmp_path / "file")


def test_a_store_with_something_else_in_it_is_still_summed_up(tmp_path: Path) -> None:
    fill(tmp_path, "a", 2)
    directory = inspect_stores(tmp_path)[0].directory
    (directory / "00").mkdir(exist_ok=True)
    (directory / "00" / "notes.txt").write_text("mine")
    assert inspect_stores(tmp_path)[0].num_blocks == 2


def test_a_store_whose_lock_cannot_be_taken_is_a_store_error(tmp_path: Path) -> None:
    fill(tmp_path, "a", 1)
    directory = inspect_stores(tmp_path)[0].directory
    (directory / "lock").unlink()
    (directory / "lock").mkdir()
    for look in (inspect_stores, clear_stores):
        with pytest.raises(StoreError):
            look(tmp_path)


def test_a_store_in_use_is_not_removed_for_room(tmp_path: Path) -> None:
    with open_block_store(ram_budget_bytes=0, disk_budget_bytes=1 << 20, root=tmp_path, binding="busy") as store:
        store.put(bytes(16), bytes(500))
        store.flush()
        fill(tmp_path, "idle", 1)
        busy = next(summary.directory for summary in inspect_stores(tmp_path) if summary.in_use)
        make_room_beside(tmp_path / "new", budget_bytes=0)
        assert [summary.directory for summary in inspect_stores(tmp_path)] == [busy]
