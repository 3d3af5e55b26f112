"""The hub: what a repository holds, and the bytes of one file. The only module that speaks to `huggingface_hub`.

The address comes from `HF_ENDPOINT`, the access token from `HF_TOKEN` or the hub client's own log-in.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

from seekd.errors import DownloadError
from seekd.models.names import HubFile, suggestion

_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file as the hub lists it.

    Attributes:
        path: inside the repository.
        size_bytes: exact.
        sha256: of its bytes, in hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """All files of one model, at one revision.

    Attributes:
        repo: `OWNER/REPO`.
        revision: the commit that they are read from, so that parts of two versions never meet.
        files: in order.
    """

    repo: str
    revision: str
    files: tuple[RemoteFile, ...]

    @property
    def size_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes for file in self.files)


class Hub:
    """Looks up and reads models.

    Args:
        endpoint: address of the hub; None takes `HF_ENDPOINT` or the public one.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint

    def look_up(self, source: HubFile) -> RemoteModel:
        """Size and checksum of each of the model's files.

        Raises:
            DownloadError: the hub cannot be reached, or there is no such file.
        """
        from huggingface_hub import HfApi

        with self._translated(source.repo):
            info = HfApi(endpoint=self._endpoint).model_info(source.repo, files_metadata=True, timeout=_TIMEOUT_S)
        listed = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        files = []
        for path in source.paths:
            found = listed.get(path)
            if found is None:
                raise DownloadError(_no_file(source.repo, path, [name for name in listed if name.endswith(".gguf")]))
            if found.lfs is None or found.size is None:
                raise DownloadError(f"The hub gives no checksum of {path} in {source.repo}; it is not downloaded.")
            files.append(RemoteFile(path=path, size_bytes=found.size, sha256=found.lfs.sha256))
        return RemoteModel(repo=source.repo, revision=info.sha or "main", files=tuple(files))

    def read(
        self, model: RemoteModel, file: RemoteFile, target: IO[bytes], *, start: int, report: Callable[[int], None]
    ) -> None:
        """Append the file's bytes from `start` on to `target`, which stands there.

        Args:
            model: that the file belongs to.
            file: to read.
            target: open for writing.
            start: offset of the first byte that is missing.
            report: called with the number of bytes that `target` holds.

        Raises:
            DownloadError: the hub cannot be reached, or the connection broke more often than the client retries.
        """
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils._headers import build_hf_headers
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars("huggingface_hub.http_get")
        with self._translated(model.repo):
            http_get(
                hf_hub_url(model.repo, file.path, revision=model.revision, endpoint=self._endpoint),
                cast("BinaryIO", _Reporting(target, report)),
                resume_size=start,
                # Else a file with a `Content-Encoding` would arrive unpacked, at other offsets than the sizes say.
                headers={**build_hf_headers(), "accept-encoding": "identity"},
            )

    @contextlib.contextmanager
    def _translated(self, repo: str) -> Iterator[None]:
        """Say in a sentence what the client says in an exception of its own or of its HTTP library."""
        import httpx2
        from huggingface_hub import constants, errors

        address = self._endpoint or constants.ENDPOINT
        try:
            yield
        except errors.OfflineModeIsEnabled as error:
            raise DownloadError("HF_HUB_OFFLINE is set, so nothing is downloaded. Unset it, or give a path.") from error
        except errors.GatedRepoError as error:
            raise DownloadError(
                f"{repo} asks for its licence to be accepted: do so at {address}/{repo}, then set HF_TOKEN."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise DownloadError(f"{address} has no repository {repo}, or it is private; then set HF_TOKEN.") from error
        except errors.HfHubHTTPError as error:
            raise DownloadError(f"{address} answered with status {error.response.status_code} for {repo}.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise DownloadError(
                f"{address} cannot be reached ({str(error) or type(error).__name__}). Check the connection, or set "
                "HF_ENDPOINT to a mirror. What has arrived is kept, and the next pull goes on there."
            ) from error


class _Reporting(io.RawIOBase):
    # Tells how far the file is; the client's own progress bar would print over that of the command line.

    def __init__(self, file: IO[bytes], report: Callable[[int], None]) -> None:
        super().__init__()
        self._file = file
        self._report = report

    def write(self, data: bytes) -> int:  # type: ignore[override]  # narrower: bytes only
        written = self._file.write(data)
        self._report(self._file.tell())
        return written

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


def _no_file(repo: str, path: str, known: list[str]) -> str:
    if not known:
        return f"{repo} holds no GGUF file."
    close = suggestion(path, known)
    if close:
        return f"{repo} has no file {path}{close}"
    first_parts = [name for name in known if "-of-" not in name or "-00001-of-" in name]
    return f"{repo} has no file {path}. It has: {', '.join(sorted(first_parts)[:20])}."
