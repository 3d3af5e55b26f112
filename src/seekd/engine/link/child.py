"""One engine process as its parent sees it: started, spoken to, heard, ended.

Runs on the event loop of the
API process; `engine.process` decides when there is one.

A child's standard input is one end of a socket pair, over which everything is said in both directions. It has no
name, so nobody else can connect and nothing of a dead child reaches the next, and its end tells either side that the
other has died. Reasons: docs/decisions/engine-process.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from seekd.engine.link.frames import FrameReader, frame
from seekd.engine.link.messages import (
    REFUSED_STATUS,
    FromEngine,
    Loaded,
    Refused,
    Shutdown,
    ToEngine,
    WorkerJob,
    encode_job,
    error_of,
)
from seekd.engine.types import ModelInfo
from seekd.errors import ConfigError

_log = logging.getLogger(__name__)

_CLOSE_GRACE_S = 5.0
_REFUSAL_WAIT_S = 5.0
_DRAIN_TIMEOUT_S = 1.0  # longest wait for what it sent before its end; a process that it started may hold the socket
_NUM_LAST_LINES = 20
_LEVELS = {name: number for name, number in logging.getLevelNamesMapping().items() if number}


class ChildProcess:
    """One engine process with its socket, from start to close.

    Args:
        receive: called with every message after the model has been loaded.
    """

    def __init__(self, receive: Callable[[FromEngine], None]) -> None:
        self._receive = receive
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(FromEngine)
        self._last_lines: deque[str] = deque(maxlen=_NUM_LAST_LINES)
        self._frames = FrameReader()
        self._loaded: asyncio.Future[ModelInfo] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None
        self._connection_lost = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._log_task: asyncio.Task[None] | None = None

    @property
    def process_id(self) -> int | None:
        """Of the process; None before it was started."""
        return None if self._process is None else self._process.pid

    async def start(self, command: tuple[str, ...], job: WorkerJob) -> ModelInfo:
        """Start the process, wait for its model.

        Raises:
            ConfigError: the process refused the model, or died.
        """
        ours, its = socket.socketpair()
        with its:
            self._transport, _ = await asyncio.get_running_loop().create_unix_connection(
                lambda: _Reader(self._read_messages, self._connection_lost), sock=ours
            )
            process = await asyncio.create_subprocess_exec(
                *command, stdin=its.fileno(), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
            )
        self._process = process
        assert process.stderr is not None
        self._log_task = asyncio.create_task(self._read_log(process.stderr))
        self._transport.write(frame(encode_job(job)))
        died = asyncio.create_task(self.died())
        try:
            either: list[asyncio.Future[Any]] = [died, self._loaded]  # of different results
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if died.done() and self._process.returncode == REFUSED_STATUS:
                # Its last message says why and may still be on its way through the socket.
                await asyncio.wait({self._loaded}, timeout=_REFUSAL_WAIT_S)
            if not self._loaded.done():
                raise ConfigError(f"The engine process ended while it loaded the model: {died.result()}")
            if self._loaded.cancelled():
                raise ConfigError("The engine process was closed while it loaded the model.")
            return self._loaded.result()
        finally:
            died.cancel()
            await asyncio.gather(died, return_exceptions=True)

    def send(self, message: ToEngine) -> None:
        """Queue a message; lost when the process is dead."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(self._encoder.encode(message)))

    async def died(self) -> str:
        """Wait for the end of the process; its cause with the last lines of its log."""
        assert self._process is not None
        status = await self._process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_TIMEOUT_S):
                await self._connection_lost.wait()
        if self._log_task is not None:
            await asyncio.wait({self._log_task}, timeout=0.2)  # the rest of the log
        cause = f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
        lines = " | ".join(self._last_lines)
        return f"{cause}; last lines: {lines}" if lines else cause

    def kill(self) -> None:
        """End the process by force; `died` tells when it has happened."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self, *, grace_s: float = _CLOSE_GRACE_S) -> None:
        """End the process, if need be by force, and free everything."""
        process = self._process
        if process is not None and process.returncode is None:
            self.send(Shutdown())
            try:
                async with asyncio.timeout(grace_s):
                    await process.wait()
            except TimeoutError:
                self.kill()
                await process.wait()
        if self._log_task is not None:
            self._log_task.cancel()
            await asyncio.gather(self._log_task, return_exceptions=True)
        self._loaded.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _read_messages(self, data: bytes) -> None:
        for encoded in self._frames.feed(data):
            try:
                message = self._decoder.decode(encoded)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                _log.error("a message of the engine was not understood: %s", error, extra={"action": "bad_message"})
                continue
            if self._loaded.done():
                self._receive(message)
            elif isinstance(message, Loaded):
                self._loaded.set_result(message.info)
            elif isinstance(message, Refused):
                self._loaded.set_exception(error_of(message))

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        """Pass the child's log on: `LEVEL logger message`; anything else is what a library printed."""
        while True:
            try:
                line = (await stream.readline()).decode(errors="replace")
            except ValueError:  # a line beyond the reader's limit; it has dropped it
                continue
            if not line:
                return
            line = line.rstrip()
            word, _, rest = line.partition(" ")
            level, name, message = logging.WARNING, __name__, line
            if word in _LEVELS:
                level = _LEVELS[word]
                name, _, message = rest.partition(" ")
            if message:
                logging.getLogger(name).log(level, message, extra={"action": "engine_log"})
            if level >= logging.WARNING and line:
                self._last_lines.append(line)


class _Reader(asyncio.Protocol):
    """Passes on what the socket gives, and that it has ended."""

    def __init__(self, receive: Callable[[bytes], None], connection_lost: asyncio.Event) -> None:
        self._receive = receive
        self._connection_lost = connection_lost

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        self._receive(data)

    def connection_lost(self, _: Exception | None) -> None:
        """Either side has closed."""
        self._connection_lost.set()
