"""What is on disk is found, listed and removed, whole or in part."""

from pathlib import Path

import pytest

from seekd.errors import DownloadError
from seekd.models.names import HubFile
from seekd.models.store import ModelStore

ONE = HubFile(repo="o/r", path="one.gguf")
SPLIT = HubFile(repo="o/s", path="Q2/m-00001-of-00002.gguf")


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def _write(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def test_an_empty_store_holds_nothing(store: ModelStore) -> None:
    assert store.list() == []
    assert store.find(ONE) is None


def test_whole_and_unfinished_models_are_listed(store: ModelStore) -> None:
    _write(store.path_of(ONE.repo, ONE.path), 10)
    _write(store.path_of(SPLIT.repo, SPLIT.paths[0]), 20)
    _write(store.partial_of(SPLIT.repo, SPLIT.paths[1], "a" * 64), 3)
    one, split = store.list()
    assert (one.source, one.size_bytes, one.partial_bytes, one.is_complete) == (ONE, 10, 0, True)
    assert (split.source, split.size_bytes, split.partial_bytes, split.is_complete) == (SPLIT, 20, 3, False)


def test_a_model_of_which_only_a_later_part_is_there_is_listed_under_its_first(store: ModelStore) -> None:
    _write(store.path_of(SPLIT.repo, SPLIT.paths[1]), 20)
    assert [model.source for model in store.list()] == [SPLIT]


def test_removing_frees_everything_of_a_model_and_nothing_of_others(store: ModelStore) -> None:
    for name in SPLIT.paths:
        _write(store.path_of(SPLIT.repo, name), 20)
    _write(store.partial_of(SPLIT.repo, SPLIT.paths[1], "a" * 64), 3)
    _write(store.path_of(ONE.repo, ONE.path), 10)
    assert store.remove(SPLIT) == 43
    assert [model.source for model in store.list()] == [ONE]
    assert store.remove(ONE) == 10
    assert list(store.root.iterdir()) == []


def test_what_is_not_there_cannot_be_removed(store: ModelStore) -> None:
    with pytest.raises(DownloadError, match="not downloaded"):
        store.remove(ONE)


def test_what_is_no_model_file_is_left_out(store: ModelStore) -> None:
    for name in ("m.gguf.txt", "m-00001-of-00000.gguf"):
        _write(store.path_of("o/r", name), 1)
    assert store.list() == []
