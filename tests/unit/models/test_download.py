"""A download with the hub's own client against a hub on this machine: whole, cut, resumed, wrong, refused."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from seekd.errors import DownloadError
from seekd.models.download import pull
from seekd.models.hub import Hub
from seekd.models.names import HubFile
from seekd.models.store import ModelStore
from tests.hub import HubDouble, serve_hub

REPO = "maker/model-GGUF"
CONTENT = os.urandom(300_000)
PARTS = {f"Q2/m-{number:05}-of-00003.gguf": os.urandom(50_000 + number) for number in (1, 2, 3)}
ONE = HubFile(repo=REPO, path="m-Q4_K_M.gguf")
SPLIT = HubFile(repo=REPO, path="Q2/m-00001-of-00003.gguf")


class Recorder:
    """Remembers what a download has shown."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, int, int]] = []
        self.reached: list[int] = []

    def begin(self, what: str, *, total_bytes: int, done_bytes: int) -> None:
        self.begun.append((what, total_bytes, done_bytes))

    def reach(self, done_bytes: int) -> None:
        self.reached.append(done_bytes)

    def end(self) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with serve_hub({REPO: {ONE.path: CONTENT, **PARTS}}) as double:
        yield double


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def _pull(hub: HubDouble, store: ModelStore, source: HubFile = ONE, progress: Recorder | None = None) -> Path:
    return pull(source, store=store, hub=Hub(hub.url), progress=progress or Recorder())


def _partial(store: ModelStore, content: bytes = CONTENT) -> Path:
    path = store.partial_of(REPO, ONE.path, hashlib.sha256(content).hexdigest())
    path.parent.mkdir(parents=True)
    return path


def test_a_model_arrives_whole_and_nothing_else_is_left(hub: HubDouble, store: ModelStore) -> None:
    progress = Recorder()
    path = _pull(hub, store, progress=progress)
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == [ONE.path]
    assert [begun[1:] for begun in progress.begun] == [(len(CONTENT), 0), (len(CONTENT), 0)]
    assert progress.reached[-1] == len(CONTENT)


def test_all_parts_of_a_split_model_arrive(hub: HubDouble, store: ModelStore) -> None:
    path = _pull(hub, store, SPLIT)
    assert path.name == "m-00001-of-00003.gguf"
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == {
        name.removeprefix("Q2/"): content for name, content in PARTS.items()
    }


def test_a_download_goes_on_where_an_earlier_process_stopped(hub: HubDouble, store: ModelStore) -> None:
    _partial(store).write_bytes(CONTENT[:100_000])
    progress = Recorder()
    assert _pull(hub, store, progress=progress).read_bytes() == CONTENT
    assert hub.requested == [(ONE.path, "bytes=100000-")]
    assert progress.begun[0][2] == 100_000


def test_a_connection_that_breaks_is_taken_up_again_in_the_same_download(
    hub: HubDouble, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 10_000)  # it keeps whole chunks: of 10 MB
    hub.cut_after, hub.cuts_left = 70_000, 1
    assert _pull(hub, store).read_bytes() == CONTENT
    assert [asked for _, asked in hub.requested] == [None, "bytes=70000-"]


def test_a_hub_that_ignores_ranges_is_read_from_the_start(hub: HubDouble, store: ModelStore) -> None:
    _partial(store).write_bytes(CONTENT[:100_000])
    hub.ignores_ranges = True
    assert _pull(hub, store).read_bytes() == CONTENT


def test_a_part_that_is_there_is_checked_and_not_downloaded_again(hub: HubDouble, store: ModelStore) -> None:
    _pull(hub, store)
    _pull(hub, store)
    assert len(hub.requested) == 1


def test_a_damaged_file_of_the_right_size_is_downloaded_again(hub: HubDouble, store: ModelStore) -> None:
    path = _pull(hub, store)
    path.write_bytes(bytes(len(CONTENT)))
    assert _pull(hub, store).read_bytes() == CONTENT


def test_wrong_bytes_never_get_the_models_name(hub: HubDouble, store: ModelStore) -> None:
    hub.wrong_bytes = True
    with pytest.raises(DownloadError, match="checksum differs"):
        _pull(hub, store)
    assert list(store.path_of(REPO, "").iterdir()) == []


def test_a_newer_version_replaces_the_old_one_and_its_leftovers(hub: HubDouble, store: ModelStore) -> None:
    _partial(store, b"an older version").write_bytes(b"an old")
    _pull(hub, store)
    hub.files[REPO][ONE.path] = newer = os.urandom(1000)
    path = _pull(hub, store)
    assert path.read_bytes() == newer
    assert [file.name for file in path.parent.iterdir()] == [ONE.path]


def test_a_partial_file_that_is_too_long_begins_anew(hub: HubDouble, store: ModelStore) -> None:
    _partial(store).write_bytes(bytes(len(CONTENT) + 1))
    assert _pull(hub, store).read_bytes() == CONTENT


def test_a_full_disk_is_told_before_anything_is_downloaded(
    hub: HubDouble, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 1000, 1000))
    with pytest.raises(DownloadError, match="Make room"):
        _pull(hub, store)
    assert hub.requested == []


def test_two_processes_do_not_write_one_file(hub: HubDouble, store: ModelStore) -> None:
    with _partial(store).open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DownloadError, match="another process"):
            _pull(hub, store)


def test_a_folder_that_cannot_be_written_is_one_sentence(hub: HubDouble, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(DownloadError, match="cannot be written"):
        _pull(hub, ModelStore(tmp_path / "models"))
