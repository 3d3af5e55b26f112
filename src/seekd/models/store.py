"""The downloaded models on disk.

<root>/OWNER/REPO/PATH.gguf                   whole and checked: a file has this name only when it is
<root>/OWNER/REPO/PATH.gguf.<sha256>.partial  what has arrived of it so far
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from seekd.errors import ConfigError, DownloadError
from seekd.models.names import HubFile, split_names

_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """What is on disk of one model.

    Attributes:
        path: of its file, or of the first part.
        size_bytes: of its whole files.
        partial_bytes: of what has arrived of the others.
        is_complete: whether every part is there.
    """

    source: HubFile
    path: Path
    size_bytes: int
    partial_bytes: int
    is_complete: bool


class ModelStore:
    """A folder of downloaded models.

    Args:
        root: need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path_of(self, repo: str, path: str) -> Path:
        """Where a file of the hub lies, or will lie."""
        return self.root / repo / path

    def partial_of(self, repo: str, path: str, sha256: str) -> Path:
        """Where a download of exactly those bytes collects them."""
        target = self.path_of(repo, path)
        return target.with_name(f"{target.name}.{sha256[:16]}{_PARTIAL}")

    def partials(self, repo: str, path: str) -> list[Path]:
        """Every unfinished download of a file."""
        target = self.path_of(repo, path)
        return sorted(target.parent.glob(f"{target.name}.*{_PARTIAL}"))

    def find(self, source: HubFile) -> StoredModel | None:
        """What is there of a model; None when nothing is."""
        files = [path for name in source.paths if (path := self.path_of(source.repo, name)).is_file()]
        partials = [path for name in source.paths for path in self.partials(source.repo, name)]
        if not files and not partials:
            return None
        return StoredModel(
            source=source,
            path=self.path_of(source.repo, source.path),
            size_bytes=sum(path.stat().st_size for path in files),
            partial_bytes=sum(path.stat().st_size for path in partials),
            is_complete=len(files) == len(source.paths),
        )

    def list(self) -> list[StoredModel]:
        """Every model that is there, whole or in part, by name."""
        sources = set()
        for path in self.root.glob("*/*/**/*.gguf*"):
            name = path.name if path.suffix != _PARTIAL else path.name.rsplit(".", 2)[0]
            owner, repo, *inside = path.relative_to(self.root).parent.parts
            with contextlib.suppress(ValueError, ConfigError):  # no model file
                first = _first_part(name)
                sources.add(HubFile(repo=f"{owner}/{repo}", path="/".join((*inside, first))))
        found = (self.find(source) for source in sorted(sources, key=str))
        return [model for model in found if model is not None]

    def remove(self, source: HubFile) -> int:
        """Delete a model and what has arrived of it; the number of bytes that are free now.

        Raises:
            DownloadError: nothing is there, or it cannot be deleted.
        """
        model = self.find(source)
        if model is None:
            raise DownloadError(f"{source} is not downloaded.")
        try:
            for name in source.paths:
                target = self.path_of(source.repo, name)
                for path in (target, *self.partials(source.repo, name)):
                    path.unlink(missing_ok=True)
                self._remove_empty(target.parent)
        except OSError as error:
            raise DownloadError(f"{model.path} cannot be removed: {error.strerror}.") from error
        return model.size_bytes + model.partial_bytes

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.root and folder.is_relative_to(self.root):
            try:
                folder.rmdir()
            except OSError:  # another model is in it
                return
            folder = folder.parent


def _first_part(name: str) -> str:
    """The name of the first part that a part belongs to. Raises `ValueError` for what is no GGUF file."""
    if not name.endswith(".gguf"):
        raise ValueError(name)
    stem, of, count = name.removesuffix(".gguf").rpartition("-of-")
    if not of or not (count.isdecimal() and len(count) == 5 and stem[-5:].isdecimal()):
        return name
    first = f"{stem[:-5]}00001-of-{count}.gguf"
    return first if name in split_names(first) else name
