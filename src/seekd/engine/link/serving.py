"""The engine process's side of its socket: messages in, one message of updates out per step."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

import msgspec

from seekd.engine.link.compile_queue import Compiled, CompileQueue
from seekd.engine.link.frames import LENGTH_BYTES, FrameReader, frame
from seekd.engine.link.messages import (
    Abort,
    Accepted,
    FromEngine,
    Report,
    Shutdown,
    Submit,
    ToEngine,
    Updates,
    WorkerJob,
    decode_job,
    refusal,
)
from seekd.engine.types import CacheExplanation, Constraint, EngineRequest, EngineStats, EngineUpdate, FinishReason
from seekd.errors import EngineError, SeekdError

_log = logging.getLogger(__name__)

_STATS_INTERVAL_S = 1.0
_CLOSE_TIMEOUT_S = 1.0
_RECEIVE_BYTES = 1 << 18


def receive_job(peer: socket.socket) -> WorkerJob:
    """Wait for the first message, which says what to serve; what follows it stays in the blocking socket.

    Raises:
        EOFError: the parent is gone.
    """
    length = int.from_bytes(peer.recv(LENGTH_BYTES, socket.MSG_WAITALL), "little")
    message = peer.recv(length, socket.MSG_WAITALL) if length else b""
    if not message or len(message) < length:
        raise EOFError("the parent process ended before it said what to serve")
    return decode_job(message)


class Connection:
    """The socket to the API process, whose end says that it has died.

    Args:
        peer: connected, a stream; closed with the connection.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._frames = FrameReader()
        self._unsent = bytearray()
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ToEngine)

    def __enter__(self) -> Self:
        self._peer.setblocking(False)
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in (self._wake_read, self._wake_write):
            os.set_blocking(descriptor, False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # the last message (a refusal) should reach the parent, if it lives
            self._peer.settimeout(_CLOSE_TIMEOUT_S)
            self._peer.sendall(self._unsent)
        self._peer.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def wake(self) -> None:
        """End a `receive` that waits; called by other threads."""
        # Closed: nobody waits any more. Full: it will wake up anyway.
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"w")

    def send(self, message: FromEngine) -> None:
        """Send a message or queue it; never blocks.

        The queue has no bound of its own: what is sent is bounded by the tokens of running requests, and to wait for a
        slow reader would stop the model.
        """
        self._unsent += frame(self._encoder.encode(message))
        self._flush()

    def receive(self, *, timeout_s: float | None) -> Iterator[ToEngine]:
        """The messages that are there.

        Args:
            timeout_s: longest wait for the first one; 0 does not wait, None waits for ever. When the parent is gone
                it yields a `Shutdown`.
        """
        if timeout_s != 0:
            self._wait(timeout_s)
        self._flush()
        while True:
            try:
                data = self._peer.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except ConnectionError:
                data = b""
            if not data:
                _log.info("the parent process is gone", extra={"action": "parent_gone"})
                yield Shutdown()
                return
            for encoded in self._frames.feed(data):
                try:
                    message = self._decoder.decode(encoded)
                except (msgspec.DecodeError, msgspec.ValidationError) as error:
                    # A fault of ours on the other side: everybody else must go on.
                    _log.error("a message was not understood: %s", error, extra={"action": "bad_message"})
                    self._refuse_unreadable(encoded)
                    continue
                yield message

    def _wait(self, timeout_s: float | None) -> None:
        peer = self._peer.fileno()
        readable, _, _ = select.select([peer, self._wake_read], [peer] if self._unsent else [], [], timeout_s)
        if self._wake_read in readable:
            os.read(self._wake_read, 4096)

    def _flush(self) -> None:
        while self._unsent:
            try:
                del self._unsent[: self._peer.send(self._unsent)]
            except BlockingIOError:
                return
            except ConnectionError:  # nobody reads any more, which the next `receive` finds too
                self._unsent.clear()

    def _refuse_unreadable(self, encoded: memoryview) -> None:
        """Answer whoever sent a request that cannot be read, if it says who that is."""
        try:
            request_id = msgspec.msgpack.decode(encoded, type=_SomeSubmit).request.request_id
        except (msgspec.DecodeError, msgspec.ValidationError):
            return
        self.send(refusal(request_id, EngineError()))


class Core(Protocol):
    """What is served; `core.EngineCore` is one."""

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""

    def compile_constraint(self, request: EngineRequest) -> Constraint | None:
        """The matcher of a request's constraint; called by another thread."""

    def check(self, request: EngineRequest, *, num_coming: int = 0) -> None:
        """Raise why a request that comes behind `num_coming` others could not be accepted."""

    def add(self, request: EngineRequest, constraint: Constraint | None = None) -> None:
        """Accept a request, or raise why not."""

    def abort(self, request_id: str) -> None:
        """End a request that has not ended; the next step says so."""

    def step(self) -> list[EngineUpdate]:
        """Advance everybody."""

    def take_explanations(self) -> list[CacheExplanation]:
        """What the cache gave since the last call."""

    def stats(self) -> EngineStats:
        """The counters."""


class _RequestId(msgspec.Struct):
    request_id: str


class _SomeSubmit(msgspec.Struct):
    request: _RequestId


def serve(core: Core, connection: Connection, *, clock: Callable[[], float]) -> None:
    """Serve until told to stop.

    Raises:
        EngineError: the model failed.
    """
    next_stats_s = clock()
    is_idle = True
    compiling = CompileQueue(core.compile_constraint, connection.wake)
    while True:
        for message in connection.receive(timeout_s=0 if core.has_work else None):
            if isinstance(message, Shutdown):
                return
            _handle(message, core, connection, compiling)
        if (compiled := compiling.take()) is not None:
            _add(compiled, core, connection)
        if core.has_work:
            is_idle = False
            updates = core.step()
            explanations = core.take_explanations()
            if updates or explanations:
                connection.send(Updates(updates, explanations))
        if not is_idle and (clock() >= next_stats_s or not core.has_work):
            is_idle = not core.has_work
            next_stats_s = clock() + _STATS_INTERVAL_S
            connection.send(Report(core.stats()))


def _handle(message: Submit | Abort, core: Core, connection: Connection, compiling: CompileQueue) -> None:
    if isinstance(message, Abort):
        if compiling.abort(message.request_id):
            ended = EngineUpdate(request_id=message.request_id, finish_reason=FinishReason.ABORT)
            connection.send(Updates([ended]))
        else:
            core.abort(message.request_id)
        return
    connection.send(Accepted(message.request.request_id))
    if message.request.constraint is None:
        _add(Compiled(request=message.request), core, connection)
        return

    def compile_soon() -> None:
        core.check(message.request, num_coming=compiling.num_waiting)  # before anybody compiles for nothing
        compiling.submit(message.request)

    _do_or_refuse(message.request.request_id, compile_soon, connection)


def _add(compiled: Compiled, core: Core, connection: Connection) -> None:
    def add() -> None:
        if compiled.error is not None:
            raise compiled.error
        core.add(compiled.request, compiled.constraint)

    _do_or_refuse(compiled.request.request_id, add, connection)


def _do_or_refuse(request_id: str, do: Callable[[], None], connection: Connection) -> None:
    try:
        do()
    except SeekdError as error:
        connection.send(refusal(request_id, error))
    except Exception:
        # One request's fault must not end the others; the engine loop is one of the places that may catch everything.
        _log.exception("a request could not be taken", extra={"action": "request_failed"})
        connection.send(refusal(request_id, EngineError()))
