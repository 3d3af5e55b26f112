"""One request's connection: reading its body within limits, noticing that the client left, sending events.

Pure ASGI: the framework's own streaming response cannot turn an error
before the first event into a real status, nor send keep-alive comments.

    first event, or an error before it ──> a real status
    silence after admission            ──> `: keep-alive` comments (these commit status 200)
    an error after the first byte      ──> an error frame, and the end without [DONE]
    the client leaves                  ──> the generation is closed, which frees its sequence within one engine step
    its time is up, the server stops   ──> the same, and then the error
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from seekd.api.interruption import Interruption
from seekd.api.settings import ServerSettings
from seekd.errors import BodyTimeout, BodyTooLarge, SeekdError

_NUM_LIMITS_READ = 4
"""Bodies of up to so many limits are read and dropped before the refusal: an answer to a client that still sends is
lost when its connection is closed."""

_ADMISSION_POLL_S = 0.5


class ClientLeft(Exception):
    """The client closed its connection; nobody reads an answer."""


async def read_body(request: Request, settings: ServerSettings) -> bytes:
    """The request's body.

    Raises:
        BodyTooLarge: more than the server takes; known from the header where there is one.
        BodyTimeout: the client sent too slowly.
        ClientLeft: the client closed the connection before the end.
    """
    limit = settings.max_body_bytes
    declared = request.headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() and len(declared) < 20 else 0
    # A client that asks first sends nothing; one that sends far too much is not listened to.
    if size > limit and ("expect" in request.headers or size > _NUM_LIMITS_READ * limit):
        raise BodyTooLarge(limit_bytes=limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                part = message.get("body", b"")
                size += len(part)
                if size <= limit:
                    parts.append(part)
                else:
                    parts.clear()
                has_more = message.get("more_body", False)
                if size > limit and (not has_more or size > _NUM_LIMITS_READ * limit):
                    raise BodyTooLarge(limit_bytes=limit)
                if not has_more:
                    return b"".join(parts)
    except TimeoutError as error:
        raise BodyTimeout(limit_s=settings.body_timeout_s) from error


async def interrupt_when_left(receive: Receive, interruption: Interruption) -> None:
    """Interrupt a request whose body has been read when its client closes the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
    interruption.interrupt(ClientLeft())


@contextlib.asynccontextmanager
async def while_connected(receive: Receive, interruption: Interruption) -> AsyncIterator[None]:
    """Interrupt the block when the client leaves. Raises what interrupted it, in place of the block's own end."""
    watcher = asyncio.create_task(interrupt_when_left(receive, interruption))
    try:
        yield
    except asyncio.CancelledError:
        raise interruption.caught() from None
    finally:
        watcher.cancel()


class AnswerResponse:
    """Sends an answer as it comes: the frames of a stream, or a whole body in one piece.

    Args:
        frames: yields bytes as they become available; closing it early ends the generation.
        headers: asked for when the first byte is sent.
        failure: turns an error before the first byte into an ordinary response.
        error_frame: turns one after it into the last frame.
        trailer: what follows the last byte of all; asked for then.
        keep_alive: what fills a silence, an SSE comment or a blank line; None where nothing may.
        keep_alive_s: length of a silence that is filled.
        is_admitted: False while the request may still be refused, which needs a status of its own.
        interruption: ends it early.
    """

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        *,
        headers: Callable[[], Mapping[str, str]],
        failure: Callable[[SeekdError], ASGIApp],
        error_frame: Callable[[SeekdError], bytes],
        trailer: Callable[[], bytes],
        keep_alive: bytes | None,
        keep_alive_s: float,
        is_admitted: Callable[[], bool],
        interruption: Interruption,
    ) -> None:
        self._frames = frames
        self._headers = headers
        self._failure = failure
        self._error_frame = error_frame
        self._trailer = trailer
        self._keep_alive = keep_alive
        self._keep_alive_s = keep_alive_s
        self._is_admitted = is_admitted
        self._interruption = interruption
        self._started = False
        self._sending = asyncio.Lock()  # frames and comments come from two tasks
        self._last_send_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the response to its end, or until it is interrupted or the client leaves."""
        loop = asyncio.get_running_loop()
        self._last_send_s = loop.time()
        watcher = asyncio.create_task(interrupt_when_left(receive, self._interruption))
        filler = None if self._keep_alive is None else asyncio.create_task(self._fill_silence(send, self._keep_alive))
        try:
            try:
                async with contextlib.aclosing(self._frames) as frames:
                    async for data in frames:
                        await self._send(send, data)
            except asyncio.CancelledError:  # everything is freed and settled
                raise self._interruption.caught() from None
        except ClientLeft:
            pass
        except SeekdError as error:
            if not self._started:
                await self._failure(error)(scope, receive, send)
                return
            await self._send(send, self._error_frame(error))
        finally:
            watcher.cancel()
            if filler is not None:
                filler.cancel()
        if self._started:
            with contextlib.suppress(OSError):
                await send({"type": "http.response.body", "body": self._trailer(), "more_body": False})

    async def _send(self, send: Send, data: bytes) -> None:
        async with self._sending:
            if not self._started:
                raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._headers().items()]
                await send({"type": "http.response.start", "status": 200, "headers": raw})
                self._started = True
            self._last_send_s = asyncio.get_running_loop().time()
            await send({"type": "http.response.body", "body": data, "more_body": True})

    async def _fill_silence(self, send: Send, filling: bytes) -> None:
        loop = asyncio.get_running_loop()
        while True:
            silent_s = loop.time() - self._last_send_s
            if silent_s < self._keep_alive_s:
                await asyncio.sleep(self._keep_alive_s - silent_s)
            elif self._is_admitted():
                await self._send(send, filling)
            else:
                await asyncio.sleep(min(self._keep_alive_s, _ADMISSION_POLL_S))
