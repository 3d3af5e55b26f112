"""A hub on this machine: the parts of the real one's API that a download uses, over real HTTP, with small files.

Answers as huggingface.co does (November 2026): a repository's listing with sizes and SHA-256 sums, files by revision
with ranges, errors by the header `X-Error-Code`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubDouble:
    """What the hub holds and does.

    Attributes:
        url: its address, for `HF_ENDPOINT`.
        files: by repository, then by path.
        requested: `(path, range header)` of each file request.
        cut_after: bytes of a file after which the connection breaks; None sends all.
        cuts_left: how often it does so.
        wrong_bytes: send other bytes than the listing's checksum says.
        ignores_ranges: answer a range request with the whole file.
        gated: repositories that want their licence accepted.
    """

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requested: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    cuts_left: int = 0
    wrong_bytes: bool = False
    ignores_ranges: bool = False
    gated: set[str] = field(default_factory=set)


@contextlib.contextmanager
def serve_hub(files: dict[str, dict[str, bytes]]) -> Iterator[HubDouble]:
    """Run a hub with these files until the block ends."""
    hub = HubDouble(files=files)

    class Handler(_Handler):
        double = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    double: HubDouble
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            self._list(path.removeprefix("/api/models/"))
            return
        repo, _, rest = path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        content = self.double.files.get(repo, {}).get(name)
        if content is None or revision != REVISION:
            self._error(404, "EntryNotFound")
            return
        self._send_file(name, content)

    def _list(self, repo: str) -> None:
        files = self.double.files.get(repo)
        if repo in self.double.gated:
            self._error(403, "GatedRepo")
        elif files is None:
            self._error(401, "RepoNotFound")
        else:
            siblings = [
                {
                    "rfilename": name,
                    "size": len(content),
                    "blobId": hashlib.sha1(content).hexdigest(),
                    "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130},
                }
                for name, content in files.items()
            ]
            self._answer(200, json.dumps({"id": repo, "sha": REVISION, "siblings": siblings}).encode())

    def _send_file(self, name: str, content: bytes) -> None:
        asked = self.headers.get("Range")
        self.double.requested.append((name, asked))
        start = 0
        if asked is not None and not self.double.ignores_ranges:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        body = content[start:]
        if self.double.wrong_bytes:
            body = bytes(value ^ 1 for value in body)
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.double.cut_after is not None and self.double.cuts_left > 0:
            self.double.cuts_left -= 1
            self.wfile.write(body[: self.double.cut_after])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self._answer(status, b'{"error":"no"}', ("X-Error-Code", code))

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for header in headers:
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
