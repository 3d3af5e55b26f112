"""Serves the pages and the files that they load.

Pages stand at fixed addresses and are asked for again each time. All that they load stands under an address that
holds a digest of all files, so browsers keep it for ever and a new version is loaded whole. No build: files are sent
as they are in the package. No key is asked for: a page is nothing but code, and asks the API with its visitor's key.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

PAGES: Mapping[str, str] = {"/": "index.html"}
"""Address to the file of each page."""

BASE = "/ui"
_ABOUT = {
    "name": "seekd",
    "description": "The DeepSeek Chat API on this machine. In a browser, this address is a playground.",
    "docs": "/docs",
    "openapi": "/openapi.json",
    "chat": "/v1/chat/completions",
}
_BASE_MARK = "{{base}}"
_MODULES_MARK = "<!-- modules -->"
_SCRIPT = re.compile(r'<script type="module" src="\{\{base\}\}/([^"]+)"')
_IMPORT = re.compile(r'^import [^"]*"(\.[^"]+)";', re.MULTILINE)
_DIGEST_CHARS = 16
_LEAST_GZIP_BYTES = 1024

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing from elsewhere: text of a model that slips through the sanitizer can still load nothing."""

_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True)
class StaticFile:
    """One file as it is sent.

    Attributes:
        data: its bytes.
        media_type: its content type.
    """

    data: bytes
    media_type: str

    @cached_property
    def packed(self) -> bytes | None:
        """The bytes in gzip; None where that saves nothing."""
        if len(self.data) < _LEAST_GZIP_BYTES or self.media_type.startswith(("font/", "image/png")):
            return None
        return gzip.compress(self.data, mtime=0)


class Pages:
    """The files of the package, read at the first request for any of them."""

    @cached_property
    def _files(self) -> Mapping[str, StaticFile]:
        root = files("seekd.ui") / "static"
        return {path: StaticFile(entry.read_bytes(), _media_type(path)) for path, entry in sorted(_walk(root))}

    @cached_property
    def digest(self) -> str:
        """Names this version of all files."""
        total = hashlib.sha256()
        for path, file in self._files.items():
            total.update(path.encode() + b"\0" + hashlib.sha256(file.data).digest())
        return total.hexdigest()[:_DIGEST_CHARS]

    def routes(self) -> list[Route]:
        """The pages and their files."""
        return [
            *(Route(address, self._page, methods=["GET"]) for address in PAGES),
            Route(f"{BASE}/{{digest}}/{{path:path}}", self._file, methods=["GET"]),
        ]

    async def _page(self, request: Request) -> Response:
        if _wants_json(request):
            return JSONResponse(_ABOUT, headers={"vary": "accept"})
        return _response(request, self._html(PAGES[request.url.path]), cache="no-cache", tag=self.digest)

    def _html(self, name: str) -> StaticFile:
        text = self._files[name].data.decode()
        # All modules at once: a browser that finds them one behind the other asks once for each step of the way.
        links = (f'<link rel="modulepreload" href="{_BASE_MARK}/{path}">' for path in self.modules(name))
        text = text.replace(_MODULES_MARK, "\n".join(links)).replace(_BASE_MARK, f"{BASE}/{self.digest}")
        return StaticFile(text.encode(), self._files[name].media_type)

    def modules(self, page: str) -> list[str]:
        """The modules that are loaded before a page shows anything: its script's and what those import."""
        found: list[str] = []
        waiting = _SCRIPT.findall(self._files[page].data.decode())
        while waiting:
            path = waiting.pop()
            if path not in found:
                found.append(path)
                imports = _IMPORT.findall(self._files[path].data.decode())
                waiting += [posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) for name in imports]
        return found

    async def _file(self, request: Request) -> Response:
        file = self._files.get(request.path_params["path"])
        if file is None or request.path_params["digest"] != self.digest:
            return Response("There is no such file in this version; load the page again.", 404, media_type="text/plain")
        return _response(request, file, cache="public, max-age=31536000, immutable", tag=self.digest)


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def _response(request: Request, file: StaticFile, *, cache: str, tag: str) -> Response:
    headers = {**_HEADERS, "cache-control": cache, "etag": f'"{tag}"', "vary": "accept, accept-encoding"}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    data = file.data
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        data, headers["content-encoding"] = file.packed, "gzip"
    return Response(data, headers=headers, media_type=file.media_type)


def _walk(folder: Traversable, prefix: str = "") -> list[tuple[str, Traversable]]:
    found = []
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        found += _walk(entry, f"{path}/") if entry.is_dir() else [(path, entry)]
    return found


def _media_type(path: str) -> str:
    suffix = path[path.rfind(".") :]
    return _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
