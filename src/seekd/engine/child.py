"""One engine process as its parent sees it: started, spoken to, heard, ended.

Room: engine. May import: errors, engine.types, engine.messages, pyzmq, msgspec. Runs on the event loop of the API
process; `engine.process` decides when there is one.

Each child has a socket in a private directory of its own, so nothing of a dead one reaches the next. Its standard input
stays open: the end of it tells the child that this process has died.

The socket is ZeroMQ's plain one with its descriptor watched by the loop: pyzmq's asyncio socket took a sixth of the API
process's time on each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import zmq

from seekd.engine.messages import (
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
_LAST_WORDS_S = 0.05  # for what it sent before its end and is still in the socket
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
        self._loop = asyncio.get_running_loop()
        self._loaded: asyncio.Future[ModelInfo] = self._loop.create_future()
        self._process: asyncio.subprocess.Process | None = None
        self._log_task: asyncio.Task[None] | None = None
        # mkdtemp makes it 0700: nobody else on the machine may connect.
        self._directory = tempfile.mkdtemp(prefix="seekd-")
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.PAIR)
        self._socket.set_hwm(0)
        self._socket.linger = 0
        self._descriptor = int(self._socket.get(zmq.FD))

    @property
    def process_id(self) -> int | None:
        """Of the process; None before it was started."""
        return None if self._process is None else self._process.pid

    async def start(self, command: tuple[str, ...], make_job: Callable[[str], WorkerJob]) -> ModelInfo:
        """Start the process, wait for its model.

        Raises:
            ConfigError: the process refused the model, or died.
        """
        endpoint = f"ipc://{self._directory}/engine"
        self._socket.bind(endpoint)
        self._loop.add_reader(self._descriptor, self._read_messages)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        self._process = process
        assert process.stdin is not None
        assert process.stderr is not None
        self._log_task = asyncio.create_task(self._read_log(process.stderr))
        with contextlib.suppress(ConnectionError):  # it died already, which `died` tells
            # Kept open: its end tells the child that this process has died.
            process.stdin.write(encode_job(make_job(endpoint)))
            await process.stdin.drain()
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
            info = self._loaded.result()
            # The connection stands and needs its name no more; so nothing is left behind even by a SIGKILL of ours.
            shutil.rmtree(self._directory, ignore_errors=True)
            return info
        finally:
            died.cancel()
            await asyncio.gather(died, return_exceptions=True)

    def send(self, message: ToEngine) -> None:
        """Queue a message; lost when the process is dead."""
        if not self._socket.closed:
            with contextlib.suppress(zmq.Again):  # nobody is connected; a connected one's queue is unbounded
                self._socket.send(self._encoder.encode(message), zmq.NOBLOCK)
            # The descriptor tells changes only, and sending may have taken note of one.
            # Source: zmq_getsockopt(3), ZMQ_FD.
            self._loop.call_soon(self._read_messages)

    async def died(self) -> str:
        """Wait for the end of the process; its cause with the last lines of its log."""
        assert self._process is not None
        status = await self._process.wait()
        await asyncio.sleep(_LAST_WORDS_S)
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
        if process is not None and process.stdin is not None:
            process.stdin.close()
        if self._log_task is not None:
            self._log_task.cancel()
            await asyncio.gather(self._log_task, return_exceptions=True)
        self._loaded.cancel()
        if not self._socket.closed:  # another child may have the descriptor's number by now
            self._loop.remove_reader(self._descriptor)
            self._socket.close()
        self._context.term()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _read_messages(self) -> None:
        """Take all that is there: what is left is not told again."""
        while not self._socket.closed:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message = self._decoder.decode(frame)
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
