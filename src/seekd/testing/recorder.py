"""A proxy that keeps what passes: requests to any service of OpenAI's shape, with their answers, in a cassette.

    program ──> recorder ──as it came──> service
            <──as it comes──        <──┘ and, when it has ended, scrubbed into a file

Nothing is written before it is scrubbed, and of headers only those that clients act on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from seekd.errors import ConfigError, Overloaded
from seekd.testing.cassettes import Exchange, Part, save
from seekd.testing.scrub import SECRETS, Scrubber
from seekd.wire.dialect import CLASSIC
from seekd.wire.failures import failure_response

_log = logging.getLogger(__name__)

_OWN_HEADERS = frozenset({"host", "content-length", "connection", "accept-encoding", "transfer-encoding"})
_LOST_HEADERS = frozenset({"content-length", "content-encoding", "transfer-encoding", "connection"})
_KEPT_HEADERS = frozenset({"retry-after", "x-should-retry"})
_LIMITS = httpx2.Timeout(30.0, read=660.0)
"""Services let a request wait ten minutes."""


@dataclass(slots=True, kw_only=True)
class Recorder:
    """ASGI application.

    Attributes:
        base_url: of the service, with `/v1` or what its clients have there.
        folder: of the cassette.
        rules: of the guard, besides that of keys, for what may not be written.
        clock: seconds, monotonic.
        saved: files that were written.

    Raises:
        ConfigError: there is no such rule, or the address is none.
    """

    base_url: str
    folder: Path
    rules: Sequence[str] = ()
    clock: Callable[[], float] = time.monotonic
    saved: list[Path] = field(default_factory=list)
    _client: httpx2.AsyncClient | None = None

    def __post_init__(self) -> None:
        Scrubber(self.rules, {})  # a wrong rule is told before anything is recorded
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(f"The service's address is like https://api.deepseek.com, not {self.base_url!r}.")

    async def close(self) -> None:
        """Close the connections to the service."""
        if self._client is not None:
            await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = await request.body()
        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=_LIMITS)
        headers = {name: value for name, value in request.headers.items() if name not in _OWN_HEADERS}
        url = self.base_url.rstrip("/") + _rest_of(request.url.path, self.base_url)
        if request.url.query:
            url += f"?{request.url.query}"
        taking = _Taking(started_s=self.clock(), clock=self.clock)
        try:
            asking = self._client.stream(
                request.method, url, content=body, headers={**headers, "accept-encoding": "identity"}
            )
            async with asking as response:
                await taking.pass_on(response, send)
        except httpx2.HTTPError as error:
            _log.warning("the service failed", extra={"action": "record_failed", "reason": str(error)})
            if taking.status is None:
                await _refuse(send, error)
                return
            taking.is_whole = False
        if request.method == "POST":
            self.saved.append(save(self._exchange(request, body, taking), self.folder))
        if not taking.is_whole:
            raise ConnectionError("the service cut the connection")  # so does the server, then

    def _exchange(self, request: Request, body: bytes, taking: _Taking) -> Exchange:
        scrubber = Scrubber(self.rules, request.headers)
        return Exchange(
            path=request.url.path,
            body=scrubber.value(_decoded(body)),
            rules=(SECRETS, *self.rules),
            status=taking.status or 0,
            content_type=taking.headers.get("content-type", ""),
            headers={name: value for name, value in taking.headers.items() if name in _KEPT_HEADERS},
            parts=taking.scrubbed(scrubber),
            is_whole=taking.is_whole,
        )


def _rest_of(path: str, base_url: str) -> str:
    """The path behind the base, which clients may have with or without its own last part."""
    last = base_url.rstrip("/").rpartition("/")[2]
    return path.removeprefix(f"/{last}") if last == "v1" else path


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


async def _refuse(send: Send, error: Exception) -> None:
    failure = failure_response(
        Overloaded(f"The recorded service does not answer: {str(error) or type(error).__name__}"), CLASSIC
    )
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(failure.body)).encode())]
    await send({"type": "http.response.start", "status": 502, "headers": headers})
    await send({"type": "http.response.body", "body": failure.body})


@dataclass(slots=True, kw_only=True)
class _Taking:
    # One answer on its way through.
    started_s: float
    clock: Callable[[], float]
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    is_whole: bool = True

    async def pass_on(self, response: httpx2.Response, send: Send) -> None:
        self.status, self.headers = response.status_code, dict(response.headers)
        raw = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in self.headers.items()
            if name not in _LOST_HEADERS
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        async for piece in response.aiter_raw():
            self.pieces.append((round((self.clock() - self.started_s) * 1000), piece))
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def scrubbed(self, scrubber: Scrubber) -> Sequence[Part]:
        """The parts as they are kept: events of a stream, each with the time at which its last byte came."""
        whole = b"".join(piece for _, piece in self.pieces)
        if not self.headers.get("content-type", "").startswith("text/event-stream"):
            end_ms = self.pieces[-1][0] if self.pieces else 0
            return (Part(after_ms=end_ms, text=_scrubbed_body(whole, scrubber)),)
        blocks = [block + b"\n\n" for block in whole.split(b"\n\n")]
        blocks[-1] = blocks[-1][:-2]
        texts = scrubber.events([block.decode(errors="replace") for block in blocks])
        ends: list[int] = []
        position = 0
        for block in blocks:
            position += len(block)
            ends.append(self._time_of(position))
        return tuple(Part(after_ms=ms, text=text) for ms, text in zip(ends, texts, strict=True) if text)

    def _time_of(self, position: int) -> int:
        seen = 0
        for ms, piece in self.pieces:
            seen += len(piece)
            if seen >= position:
                return ms
        return self.pieces[-1][0] if self.pieces else 0


def _scrubbed_body(body: bytes, scrubber: Scrubber) -> str:
    decoded = _decoded(body)
    if isinstance(decoded, str):
        return scrubber.text(decoded)
    leading = body[: len(body) - len(body.lstrip())].decode()  # blank lines of a service that let the client wait
    return leading + json.dumps(scrubber.value(decoded), ensure_ascii=False, separators=(",", ":"))
