"""The HTTP server under the application: uvicorn, with connections that are cut when nobody reads what they send.

    the system's buffer and 64 KiB are full ──> paused ──fewer than 16 KiB wait──> goes on
                                                  └── too little was read in `write_timeout_s` ──> cut

A connection that is cut looks to everything above as one whose client has left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import ssl
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from seekd.api.settings import ServerSettings
from seekd.errors import ConfigError

_log = logging.getLogger(__name__)

_LEAST_BYTES = 32 * 1024
"""To be read in `write_timeout_s`, so that a byte now and then does not do; less than what ends a pause."""

LAST_WORDS_S = 2.0
"""For the last frames and settlements of requests that the end of the grace period interrupts."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with a bound on the time in which its client must read."""

    write_timeout_s: float

    _unread_bytes = 0
    _timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """The client does not keep up."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """The client has read on."""
        self._forget()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Either side has closed."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._timer = self.loop.call_later(self.write_timeout_s, self._look)

    def _look(self) -> None:
        if self._unread_bytes - self.transport.get_write_buffer_size() >= _LEAST_BYTES:
            self._watch()
            return
        self._forget()
        _log.warning("a client does not read; its connection is cut", extra={"action": "client_stalled"})
        self.transport.abort()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: whoever starts it has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def http_server(app: ASGIApp, settings: ServerSettings) -> uvicorn.Server:
    """A server for the application; ended by `stop_server`.

    Raises:
        ConfigError: the certificate or its key cannot be used.
    """
    protocol = type("Connection", (Connection,), {"write_timeout_s": settings.write_timeout_s})
    config = uvicorn.Config(
        app,
        http=protocol,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        # For what not even `stop_server` has ended; it is cancelled without a word.
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s + 2 * LAST_WORDS_S),
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        # A key with a password would be asked for on the terminal.
        ssl_keyfile_password="" if settings.tls_key is not None else None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"server.tls_certificate {settings.tls_certificate} with server.tls_key {settings.tls_key} cannot be used: "
            f"{error.strerror or error}."
        ) from error
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return _Server(config)


async def stop_server(
    server: uvicorn.Server, serving: asyncio.Task[None], *, interrupt: Callable[[], None], grace_s: float
) -> None:
    """Accept nothing more, and end what runs; returns when the server has ended.

    Args:
        server: as `http_server` made it.
        serving: runs it.
        interrupt: makes everything that still runs say so to its client, settle and end.
        grace_s: until then.
    """
    server.should_exit = True
    await asyncio.wait({serving}, timeout=grace_s)
    interrupt()
    await asyncio.wait({serving}, timeout=LAST_WORDS_S)
    for connection in list(server.server_state.connections):  # of clients that do not even read the last words
        if isinstance(connection, Connection):
            connection.transport.abort()
    await asyncio.wait({serving})
    if server.server_state.tasks:
        await asyncio.wait(server.server_state.tasks, timeout=LAST_WORDS_S)
