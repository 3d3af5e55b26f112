"""The engine process's side of its socket: messages in, one message of updates out per step.

Room: engine. May import: errors, engine.types, engine.messages, pyzmq, msgspec.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

import msgspec
import zmq

from seekd.engine.messages import (
    Abort,
    CacheExplanation,
    FromEngine,
    Shutdown,
    Stats,
    Submit,
    ToEngine,
    Updates,
    refusal,
)
from seekd.engine.types import EngineRequest, EngineUpdate
from seekd.errors import EngineError, SeekdError

_log = logging.getLogger(__name__)

_STATS_INTERVAL_S = 1.0


class Connection:
    """The socket to the API process, and the pipe whose end says that it has died.

    Args:
        endpoint: ZeroMQ address to connect to.
        parent: readable file descriptor; its end of file means that nobody is there any more.
    """

    def __init__(self, endpoint: str, *, parent: int) -> None:
        self._endpoint = endpoint
        self._parent = parent
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(ToEngine)

    def __enter__(self) -> Self:
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.PAIR)
        # Unbounded: what is sent is bounded by the tokens of running requests, and a full queue would block the model.
        self._socket.set_hwm(0)
        self._socket.linger = 1000  # ms; the last message (a refusal) must reach the parent
        self._socket.connect(self._endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._parent, zmq.POLLIN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._context.term()

    def send(self, message: FromEngine) -> None:
        """Queue a message; never blocks."""
        self._socket.send(self._encoder.encode(message))

    def receive(self, *, timeout_s: float | None) -> Iterator[ToEngine]:
        """The messages that are there.

        Args:
            timeout_s: longest wait for the first one; 0 does not wait, None waits for ever. When the parent is gone
                it yields a `Shutdown`.
        """
        events = dict(self._poller.poll(None if timeout_s is None else int(timeout_s * 1000)))
        if self._parent in events and not os.read(self._parent, 4096):
            _log.info("the parent process is gone", extra={"action": "parent_gone"})
            yield Shutdown()
            return
        if self._socket not in events:
            return
        while True:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message = self._decoder.decode(frame)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                # A fault of ours on the other side: everybody else must go on.
                _log.error("a message was not understood: %s", error, extra={"action": "bad_message"})
                self._refuse_unreadable(frame)
                continue
            yield message

    def _refuse_unreadable(self, frame: bytes) -> None:
        """Answer whoever sent a request that cannot be read, if it says who that is."""
        try:
            request_id = msgspec.msgpack.decode(frame, type=_SomeSubmit).request.request_id
        except (msgspec.DecodeError, msgspec.ValidationError):
            return
        self.send(refusal(request_id, EngineError()))


class Core(Protocol):
    """What is served; `core.EngineCore` is one."""

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""

    def add(self, request: EngineRequest) -> None:
        """Accept a request, or raise why not."""

    def abort(self, request_id: str) -> None:
        """End a request."""

    def step(self) -> list[EngineUpdate]:
        """Advance everybody."""

    def take_explanations(self) -> list[CacheExplanation]:
        """What the cache gave since the last call."""

    def stats(self) -> Stats:
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
    while True:
        for message in connection.receive(timeout_s=0 if core.has_work else None):
            if isinstance(message, Shutdown):
                return
            _handle(message, core, connection)
        if core.has_work:
            is_idle = False
            updates = core.step()
            explanations = core.take_explanations()
            if updates or explanations:
                connection.send(Updates(updates, explanations))
        if not is_idle and (clock() >= next_stats_s or not core.has_work):
            is_idle = not core.has_work
            next_stats_s = clock() + _STATS_INTERVAL_S
            connection.send(core.stats())


def _handle(message: Submit | Abort, core: Core, connection: Connection) -> None:
    if isinstance(message, Abort):
        core.abort(message.request_id)
        return
    try:
        core.add(message.request)
    except SeekdError as error:
        connection.send(refusal(message.request.request_id, error))
    except Exception:
        # One request's fault must not end the others; the engine loop is one of the places that may catch everything.
        _log.exception("a request could not be taken", extra={"action": "request_failed"})
        connection.send(refusal(message.request.request_id, EngineError()))
