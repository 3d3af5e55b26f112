"""Brings a model from the hub to disk: resumed, checked, and in place only when it is whole.

    looked up ──> room checked ──> each file: partial file grows ──> SHA-256 compared ──> renamed into place

A download that ends in between leaves its partial file, whose name holds the checksum of what it will be; the next one
goes on at its end. One process at a time grows a partial file (flock).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from seekd.errors import DownloadError
from seekd.models.hub import Hub, RemoteFile, RemoteModel
from seekd.models.names import HubFile
from seekd.models.store import ModelStore

SPARE_BYTES = 256 << 20
"""Left free on the disk: a full disk breaks more than a download."""

_READ_BYTES = 1 << 20


class PullProgress(Protocol):
    """Shows how far a download is."""

    def begin(self, what: str, *, total_bytes: int, done_bytes: int) -> None:
        """Something of `total_bytes` begins, and `done_bytes` of it are there already."""

    def reach(self, done_bytes: int) -> None:
        """So much of it is done."""

    def end(self) -> None:
        """It is done."""


def pull(source: HubFile, *, store: ModelStore, hub: Hub, progress: PullProgress) -> Path:
    """Download a model, or what is missing of it. What is there already is checked again.

    Returns:
        The path of its file, or of its first part.

    Raises:
        DownloadError: in one sentence, what is wrong and what helps.
    """
    model = hub.look_up(source)
    _check_room(model, store)
    for file in model.files:
        _pull_file(model, file, store=store, hub=hub, progress=progress)
    return store.path_of(source.repo, source.path)


def _check_room(model: RemoteModel, store: ModelStore) -> None:
    missing_bytes = 0
    for file in model.files:
        target, partial = store.path_of(model.repo, file.path), store.partial_of(model.repo, file.path, file.sha256)
        if _size(target) != file.size_bytes:
            missing_bytes += max(0, file.size_bytes - _size(partial))
    folder = store.root
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if missing_bytes and missing_bytes + SPARE_BYTES > free_bytes:
        raise DownloadError(
            f"{model.repo} needs {missing_bytes / 1000**3:.1f} GB more in {store.root}, and {free_bytes / 1000**3:.1f} "
            "GB are free there. Make room, or choose another folder with [server] models_dir."
        )


def _pull_file(model: RemoteModel, file: RemoteFile, *, store: ModelStore, hub: Hub, progress: PullProgress) -> None:
    target = store.path_of(model.repo, file.path)
    if _size(target) == file.size_bytes and _sha256(target, file, progress) == file.sha256:
        return
    partial = store.partial_of(model.repo, file.path, file.sha256)
    try:
        partial.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(partial) as stream:
            _fill(stream, model, file, hub=hub, progress=progress)
            if _sha256(partial, file, progress) != file.sha256:
                partial.unlink()
                raise DownloadError(
                    f"What arrived of {file.path} is not what the hub has: its checksum differs. It was deleted; "
                    "pull again."
                )
            partial.replace(target)
        for outdated in store.partials(model.repo, file.path):
            outdated.unlink()
    except OSError as error:
        raise DownloadError(f"{target} cannot be written: {error.strerror or error}.") from error


def _fill(stream: IO[bytes], model: RemoteModel, file: RemoteFile, *, hub: Hub, progress: PullProgress) -> None:
    start = stream.seek(0, os.SEEK_END)
    if start > file.size_bytes:
        start = stream.seek(0)
        stream.truncate()
    if start == file.size_bytes:
        return
    progress.begin(f"Downloading {Path(file.path).name}", total_bytes=file.size_bytes, done_bytes=start)
    hub.read(model, file, stream, start=start, report=progress.reach)
    stream.flush()
    os.fsync(stream.fileno())
    progress.end()
    arrived = stream.tell()
    if arrived != file.size_bytes:
        raise DownloadError(f"{arrived} of {file.size_bytes} bytes of {file.path} arrived; pull again to go on.")


@contextmanager
def _opened(partial: Path) -> Iterator[IO[bytes]]:
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError(f"{partial.name} is being downloaded by another process.") from error
        yield stream


def _sha256(path: Path, file: RemoteFile, progress: PullProgress) -> str:
    progress.begin(f"Checking {path.name}", total_bytes=file.size_bytes, done_bytes=0)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        done = 0
        while data := stream.read(_READ_BYTES):
            digest.update(data)
            done += len(data)
            progress.reach(done)
    progress.end()
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
