"""Between the HTTP server and the application: notes what the program under test sent, and plays the faults.

    request ──noted──> its rule is found ──┬──> fault in place of an answer ──> failure
                                           └──> application (validates, plays the rule's reply) ──> bytes as they are
                                                                                               └──> or with a fault

The application knows nothing of it. What a request was matched with travels to the script in a context variable, since
the application serves each request in one context.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seekd.errors import InvalidParameter, SeekdError
from seekd.testing.call_pieces import exact_body, exact_stream
from seekd.testing.faults import FAULT_HEADER, End, Fault, Pause, Sent, read_fault
from seekd.testing.replies import Reply
from seekd.testing.seen import ANSWERED_PATHS, SeenRequest
from seekd.wire.dialect import DIALECT_HEADER, DIALECTS, Dialect
from seekd.wire.failures import Failure, failure_response

_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"
"""SO_LINGER on, 0 s: closing resets the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """An answer that nobody has to make; `sent` is what a client meets of it, one frame after another in a stream."""

    status: int
    headers: Mapping[str, str]
    sent: Sequence[Sent]

    @property
    def start(self) -> Message:
        """The message that begins it."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        return {"type": "http.response.start", "status": self.status, "headers": raw}


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one request was matched with.

    Attributes:
        reply: what the model says; None lets whatever stands behind the application answer.
        canned: an answer that takes the place of the application's; None for none.
        fault: what goes wrong; None for nothing.
        problem: why there is neither; the client gets it in a 400.
        was_played: whether the script has asked for the reply: a request that the server refuses does not.
        on_problem: called before the client learns of the problem.
    """

    reply: Reply | None = None
    canned: Canned | None = None
    fault: Fault | None = None
    problem: SeekdError | None = None
    was_played: bool = False
    on_problem: Callable[[], object] = lambda: None


current_turn: contextvars.ContextVar[Turn | None] = contextvars.ContextVar("seekd_turn", default=None)
"""Of the request that is being served."""


class Desk(Protocol):
    """Decides what becomes of a request; called in the server's thread."""

    def arrived(self, seen: SeenRequest) -> Turn:
        """Note a request, and choose what it gets."""

    def refused(self, seen: SeenRequest) -> None:
        """Note that the server refuses a request before its reply was asked for; its client does not know it yet."""


@dataclass(slots=True)
class Connections:
    """The connections of a server, for cutting one in a way that HTTP does not know."""

    server: uvicorn.Server | None = None

    def cut(self, scope: Scope, end: End) -> None:
        """End the connection of a request."""
        assert self.server is not None
        for connection in self.server.server_state.connections:
            if getattr(connection, "scope", None) is scope:
                transport = connection.transport
                if end is End.RESET:
                    _prepare_reset(transport)
                    transport.abort()
                else:
                    transport.close()


def _prepare_reset(transport: asyncio.Transport) -> None:
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@dataclass(slots=True, kw_only=True)
class Tap:
    """ASGI application around an application.

    Attributes:
        app: answers.
        desk: decides.
        connections: of the server that serves this.
        default_dialect: of requests that name none.
        control: answers what is asked below `/_seekd`; None for nothing.
    """

    app: ASGIApp
    desk: Desk
    connections: Connections
    default_dialect: Dialect
    control: ASGIApp | None = None
    _pausing: set[asyncio.Event] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    def release(self) -> None:
        """End every pause without end, by closing its connection; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        for event in self._pausing:
            event.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and self.control is not None and path.startswith("/_seekd/"):
            await self.control(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and path.endswith(ANSWERED_PATHS):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw, messages = await _read(receive)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        seen = SeenRequest(path=scope["path"], headers=headers, raw=raw)
        dialect = DIALECTS.get(headers.get(DIALECT_HEADER, ""), self.default_dialect)
        turn = self.desk.arrived(seen)
        token = current_turn.set(turn)
        try:
            failure = _failure(turn, headers, dialect)
            seen.fault = None if turn.fault is None else turn.fault.name
            if failure is not None:
                await _send_failure(failure, _noting(send, seen))
                return
            closing = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._pausing.add(closing)
            client = _Client(receive, messages, closing=closing)
            answer = _Answer(
                seen=seen,
                turn=turn,
                dialect=dialect,
                desk=self.desk,
                cut=lambda end: self.connections.cut(scope, end),
            )
            try:
                await answer.play(self.app, scope, client, send)
            finally:
                self._pausing.discard(closing)
        finally:
            current_turn.reset(token)


def _failure(turn: Turn, headers: dict[str, str], dialect: Dialect) -> Failure | None:
    """What takes the place of an answer; a fault that the header asks for becomes the turn's."""
    try:
        if FAULT_HEADER in headers:
            turn.fault = read_fault(headers[FAULT_HEADER])
    except InvalidParameter as error:
        return failure_response(error, dialect)
    return None if turn.fault is None else turn.fault.failure(dialect)


async def _read(receive: Receive) -> tuple[bytes, list[Message]]:
    """The body, and the messages that it came in."""
    messages: list[Message] = []
    while True:
        message = await receive()
        messages.append(message)
        if not message.get("more_body", False):
            return b"".join(one.get("body", b"") for one in messages), messages


def _noting(send: Send, seen: SeenRequest, has_status: Callable[[], None] = lambda: None) -> Send:
    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.status = message["status"]
            has_status()
        elif message["type"] == "http.response.body":
            seen.answer += message.get("body", b"")
        await send(message)

    return noted


async def _send_failure(failure: Failure, send: Send) -> None:
    headers = {**failure.headers, "content-length": str(len(failure.body)), "x-ds-trace-id": "0" * 32}
    if failure.content_type is not None:
        headers["content-type"] = failure.content_type
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": failure.status, "headers": raw})
    await send({"type": "http.response.body", "body": failure.body})


class _Client:
    # Replays the body that was read, and then says when the client has left, or when it should count as gone.

    def __init__(self, receive: Receive, messages: Iterable[Message], *, closing: asyncio.Event) -> None:
        self._receive = receive
        self._messages = list(messages)
        self._closing = closing

    async def receive(self) -> Message:
        if self._messages:
            return self._messages.pop(0)
        return await self._receive()

    async def wait(self, pause: Pause) -> bool:
        """Wait out a pause; whether the answer goes on."""
        leaving = asyncio.ensure_future(self.leave())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({leaving, closing}, timeout=pause.delay_s, return_when=asyncio.FIRST_COMPLETED)
            return not (leaving.done() or closing.done())
        finally:
            leaving.cancel()
            closing.cancel()

    async def leave(self) -> None:
        """Wait until the connection has ended."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


@dataclass(slots=True, kw_only=True)
class _Answer:
    seen: SeenRequest
    turn: Turn
    dialect: Dialect
    desk: Desk
    cut: Callable[[End], None]

    async def play(self, app: ASGIApp, scope: Scope, client: _Client, send: Send) -> None:
        """Send the answer, with the turn's fault."""
        canned = self.turn.canned
        if canned is None:
            await self._ask(app, scope, client, send)
            return
        self.seen.status = canned.status
        self.seen.answer = b"".join(one for one in canned.sent if isinstance(one, bytes))
        sent: Iterable[Sent] = canned.sent
        if self.turn.fault is not None and canned.status == 200:
            sent = self._sent(self.seen.answer, is_stream=_is_stream(canned.start))
        await self._send(canned.start, sent, client, send)

    async def _ask(self, app: ASGIApp, scope: Scope, client: _Client, send: Send) -> None:
        pieces = None if self.turn.reply is None else [call.exact for call in self.turn.reply.tool_calls]
        is_exact = self.seen.is_chat and pieces is not None and any(piece is not None for piece in pieces)
        if self.turn.fault is None and not is_exact:
            await app(scope, client.receive, _noting(send, self.seen, self._refused_first))
            return
        start, parts = await _collected(app, scope, client.receive)
        self.seen.status = start["status"]
        self._refused_first()
        if start["status"] != 200:  # the server's own refusal is not damaged
            self.seen.answer = b"".join(parts)
            await send(start)
            await send({"type": "http.response.body", "body": self.seen.answer})
            return
        is_stream = _is_stream(start)
        whole = b"".join(parts)
        if is_exact and pieces is not None:
            whole = exact_stream(whole, pieces) if is_stream else exact_body(whole, pieces)
        self.seen.answer = whole
        await self._send(start, self._sent(whole, is_stream=is_stream), client, send)

    def _refused_first(self) -> None:
        # Before the client knows: its next request may come at once.
        if self.seen.status is not None and self.seen.status >= 400 and not self.turn.was_played:
            self.desk.refused(self.seen)

    def _sent(self, whole: bytes, *, is_stream: bool) -> Iterable[Sent]:
        fault = self.turn.fault
        if is_stream:
            frames = [part + b"\n\n" for part in whole.split(b"\n\n") if part]
            return frames if fault is None else fault.in_stream(frames, self.dialect)
        return (whole,) if fault is None else fault.in_body(whole)

    async def _send(self, start: Message, sent: Iterable[Sent], client: _Client, send: Send) -> None:
        # The length is that of the undamaged answer.
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        has_started = False
        for one in sent:
            if isinstance(one, Pause):
                if not await client.wait(one):
                    await self._end(End.CLOSED, client)
                    return
            elif isinstance(one, End):
                await self._end(one, client)
                return
            else:
                if not has_started:
                    await send({**start, "headers": headers})
                    has_started = True
                await send({"type": "http.response.body", "body": one, "more_body": True})
        if not has_started:
            await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _end(self, end: End, client: _Client) -> None:
        self.cut(end)
        await client.leave()  # uvicorn complains of an answer without an end on a connection that it thinks is there


def _is_stream(start: Message) -> bool:
    return any(value.startswith(b"text/event-stream") for _, value in start["headers"])


async def _collected(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, list[bytes]]:
    """The application's whole answer. Raises what it raises."""
    start: Message = {"type": "http.response.start", "status": 500, "headers": []}
    parts: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    return start, parts
