"""An engine in a process of its own, and the supervisor that keeps it alive.

Runs in the API process on its event loop; imports neither numpy nor llama.cpp.

    start ──> STARTING ──loaded──> READY ──died──> RESTARTING ──> STARTING ...
                  └─ refused or died before the first load: ConfigError        close, from anywhere ──> CLOSED

When a child dies, every running request fails at once; a request that arrives while the next one loads waits for it a
while. A child that hangs (watchdog.py) is killed, and that is its death.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import sys
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from seekd.engine.link.child import ChildProcess
from seekd.engine.link.messages import (
    Abort,
    Accepted,
    FromEngine,
    Refused,
    Report,
    Submit,
    Updates,
    WorkerJob,
    error_of,
)
from seekd.engine.link.watchdog import Watchdog, hang_limit_s
from seekd.engine.settings import EngineSettings
from seekd.engine.types import (
    CacheExplanation,
    EngineHealth,
    EngineRequest,
    EngineStats,
    EngineUpdate,
    ModelInfo,
    PromptListener,
    ignore_progress,
)
from seekd.errors import EngineError, Overloaded, SeekdError, ShuttingDown

_log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 30.0
_STABLE_S = 60.0  # a child that lived this long has recovered: the back-off begins anew
_NUM_EXPLANATIONS = 1024
_MAX_STEP_S = (
    30.0  # longest wait for the step of an aborted request; 512 tokens a step take less wherever seekd is of use
)
_MAX_QUEUED_UPDATES = 4096  # updates that wait for a slow reader: 1 MB, or 12 MB with 20 log-probabilities a token
_MAX_CHECK_INTERVAL_S = 1.0  # between two checks whether the child hangs

_NOT_STARTED = "The engine has not been started."
_LOADING = "The engine is loading the model."
_RESTARTING = "The engine failed and is being started again."
_CLOSED = "The engine is closed."


class _Died(EngineError):
    """The engine stopped while it served the request. Try again."""


class _DiedEarly(_Died):
    """The engine stopped while it served the request. Try again."""


class EngineState(enum.StrEnum):
    """Where the supervisor is."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    CLOSED = "closed"


_REASONS = {
    EngineState.NEW: _NOT_STARTED,
    EngineState.STARTING: _LOADING,
    EngineState.RESTARTING: _RESTARTING,
    EngineState.CLOSED: _CLOSED,
}


class EngineProcess:
    """Serves requests with a model in a child process. Implements `types.Engine`; used from one event loop.

    Args:
        model_path: the GGUF file.
        settings: of the engine.
        cache_dir: home of the prefix cache on disk; None keeps none.
        log_level: least level that the child logs.
        command: how the child is started; replaced by tests of the supervisor.
    """

    def __init__(
        self,
        model_path: Path,
        settings: EngineSettings | None = None,
        *,
        cache_dir: Path | None = None,
        log_level: str = "info",
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "seekd.worker"),
    ) -> None:
        self._model_path = model_path
        self._settings = settings if settings is not None else EngineSettings()
        self._cache_dir = cache_dir
        self._log_level = log_level
        self._command = command
        self._state = EngineState.NEW
        self._state_changed = asyncio.Event()
        self._info: ModelInfo | None = None
        self._stats = EngineStats()
        self._num_restarts = 0
        self._child: ChildProcess | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._explanations: OrderedDict[str, CacheExplanation] = OrderedDict()
        self._unaccepted: set[str] = set()
        self._watchdog = Watchdog(limit_s=0)
        self._streams: dict[str, asyncio.Queue[EngineUpdate | SeekdError]] = {}

    @property
    def info(self) -> ModelInfo:
        """Of the loaded model; stays valid while the engine is restarted."""
        if self._info is None:
            raise EngineError(_REASONS.get(self._state, _LOADING))
        return self._info

    @property
    def health(self) -> EngineHealth:
        """Ready while a child with a loaded model lives."""
        if self._state is EngineState.READY:
            return EngineHealth(ready=True)
        return EngineHealth(ready=False, reason=_REASONS[self._state])

    @property
    def stats(self) -> EngineStats:
        """The last counters that the child sent; counts begin again at a restart."""
        return self._stats

    @property
    def num_restarts(self) -> int:
        """Children started after the first."""
        return self._num_restarts

    @property
    def process_id(self) -> int | None:
        """Of the child; None when there is none."""
        return None if self._child is None else self._child.process_id

    def explain(self, request_id: str) -> CacheExplanation | None:
        """What the prefix cache gave to a recent request; None when it is not remembered."""
        return self._explanations.get(request_id)

    async def start(self) -> None:
        """Load the model.

        Raises:
            ConfigError: the file cannot be used, or the process died while it loaded it.
        """
        assert self._state in (EngineState.NEW, EngineState.CLOSED), "the engine was started twice"
        self._set_state(EngineState.STARTING)
        try:
            self._child = await self._launch()
        except BaseException:
            self._set_state(EngineState.CLOSED)
            raise
        self._set_state(EngineState.READY)
        self._supervisor = asyncio.create_task(self._supervise(self._child))

    async def close(self) -> None:
        """Fail what runs with `ShuttingDown`, and end the child."""
        self._set_state(EngineState.CLOSED)
        self._fail_streams(ShuttingDown)
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        child, self._child = self._child, None
        self._stats = EngineStats()
        if child is not None:
            await child.close()

    async def generate(
        self, request: EngineRequest, on_prompt: PromptListener = ignore_progress
    ) -> AsyncGenerator[EngineUpdate, None]:
        """Run one request; see `types.Engine`."""
        if request.request_id in self._streams:
            raise EngineError("The request's id is taken by a running request.")
        self._streams[request.request_id] = asyncio.Queue()
        try:
            may_repeat = True
            while True:
                child = await self._ready_child()
                # A new one: another child may have died, which fails every queue, while this one was waited for.
                updates: asyncio.Queue[EngineUpdate | SeekdError] = asyncio.Queue()
                self._streams[request.request_id] = updates
                try:
                    async with contextlib.aclosing(self._run(request, child, updates, on_prompt)) as run:
                        async for update in run:
                            may_repeat = False
                            yield update
                    return
                except _DiedEarly:
                    # The child died before it took the request; once more only, since the request may be the cause.
                    if not may_repeat:
                        raise
                    may_repeat = False
        finally:
            self._streams.pop(request.request_id, None)

    def abort(self, request_id: str) -> None:
        """See `types.Engine`."""
        if self._child is not None and request_id in self._streams:
            self._child.send(Abort(request_id))

    async def _run(
        self,
        request: EngineRequest,
        child: ChildProcess,
        updates: asyncio.Queue[EngineUpdate | SeekdError],
        on_prompt: PromptListener,
    ) -> AsyncGenerator[EngineUpdate, None]:
        has_begun = has_ended = False
        self._unaccepted.add(request.request_id)
        self._watchdog.request_started(request.request_id, asyncio.get_running_loop().time())
        child.send(Submit(request))
        try:
            while not has_ended:
                update = await updates.get()
                has_ended = isinstance(update, SeekdError) or update.finish_reason is not None
                if isinstance(update, _Died) and request.request_id in self._unaccepted:
                    raise _DiedEarly
                if isinstance(update, SeekdError):
                    raise update
                if update.token_ids or has_ended:
                    has_begun = True
                    yield update
                else:
                    on_prompt(update)
        finally:
            try:
                if not has_ended:
                    child.send(Abort(request.request_id))
                    if not has_begun:
                        await _wait_for_end(updates, on_prompt)
            finally:
                self._unaccepted.discard(request.request_id)
                self._watchdog.request_ended(request.request_id)

    async def _ready_child(self) -> ChildProcess:
        """The child, once it is ready.

        Raises:
            ShuttingDown: the engine is closed.
            EngineError: it is not ready within `restart_wait_s`.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.restart_wait_s):
                while self._state in (EngineState.STARTING, EngineState.RESTARTING):
                    await self._state_changed.wait()
        if self._state in (EngineState.CLOSED, EngineState.NEW):
            raise ShuttingDown
        if self._state is not EngineState.READY or self._child is None:
            raise EngineError(_REASONS[self._state] + " Try again in a moment.")
        return self._child

    def _set_state(self, state: EngineState) -> None:
        self._state = state
        self._state_changed.set()
        self._state_changed = asyncio.Event()

    def _fail_streams(self, make_error: Callable[[], SeekdError]) -> None:
        for updates in self._streams.values():
            updates.put_nowait(make_error())

    async def _launch(self) -> ChildProcess:
        """Start a child and wait until it has loaded the model."""
        child = ChildProcess(self._receive)
        try:
            self._info = await child.start(
                self._command,
                WorkerJob(
                    model_path=str(self._model_path),
                    settings=self._settings,
                    cache_dir=None if self._cache_dir is None else str(self._cache_dir),
                    log_level=self._log_level,
                ),
            )
        except BaseException:
            await child.close(grace_s=0)
            raise
        self._watchdog = Watchdog(hang_limit_s(self._settings.hang_limit_s, model_bytes=self._info.size_bytes))
        return child

    async def _supervise(self, child: ChildProcess) -> None:
        """Replace dying children until the engine is closed."""
        loop = asyncio.get_running_loop()
        backoff_s = _FIRST_BACKOFF_S
        while True:
            started_s = loop.time()
            watch = asyncio.create_task(self._kill_when_hung(child, self._watchdog))
            try:
                cause = await child.died()
            finally:
                watch.cancel()
            _log.error("the engine process died: %s", cause, extra={"action": "engine_died", "cause": cause})
            self._child = None
            self._set_state(EngineState.RESTARTING)
            self._fail_streams(_Died)
            await child.close(grace_s=0)
            if loop.time() - started_s > _STABLE_S:
                backoff_s = _FIRST_BACKOFF_S
            while True:
                await asyncio.sleep(backoff_s)
                backoff_s = min(_LONGEST_BACKOFF_S, backoff_s * 2)
                self._num_restarts += 1
                try:
                    child = await self._launch()
                except Exception as error:
                    # Whatever keeps it from starting may pass: a full memory, a file that is being replaced.
                    _log.error(
                        "the engine process did not start: %s; next attempt in %.1f s",
                        error,
                        backoff_s,
                        extra={"action": "engine_restart_failed"},
                    )
                    continue
                break
            self._child = child
            self._set_state(EngineState.READY)
            _log.info("the engine process was started again", extra={"action": "engine_restarted"})

    async def _kill_when_hung(self, child: ChildProcess, watchdog: Watchdog) -> None:
        if not watchdog.limit_s:
            return
        while not watchdog.has_expired(asyncio.get_running_loop().time()):  # noqa: ASYNC110 - the passing of time is no event
            await asyncio.sleep(min(_MAX_CHECK_INTERVAL_S, watchdog.limit_s / 4))
        _log.error(
            "the engine process has sent nothing for %.0f s and is killed; a machine whose steps take longer needs"
            " a higher engine.hang_limit_s",
            watchdog.limit_s,
            extra={"action": "engine_hung"},
        )
        child.kill()

    def _receive(self, message: FromEngine) -> None:
        """Hand a child's message to whoever waits for it; what nobody waits for any more is dropped."""
        self._watchdog.message_received(asyncio.get_running_loop().time())
        if isinstance(message, Accepted):
            self._unaccepted.discard(message.request_id)
        elif isinstance(message, Updates):
            for explanation in message.explanations:
                self._explanations[explanation.request_id] = explanation
                self._explanations.move_to_end(explanation.request_id)
                if len(self._explanations) > _NUM_EXPLANATIONS:
                    self._explanations.popitem(last=False)
            for update in message.updates:
                self._hand_over(update)
        elif isinstance(message, Refused):
            if message.request_id is not None and (stream := self._streams.get(message.request_id)) is not None:
                stream.put_nowait(error_of(message))
        elif isinstance(message, Report):
            self._stats = message.stats

    def _hand_over(self, update: EngineUpdate) -> None:
        stream = self._streams.get(update.request_id)
        if stream is None:
            return
        stream.put_nowait(update)
        if stream.qsize() > _MAX_QUEUED_UPDATES:
            # Its reader is so far behind that it may never come back. What it did not take is neither sent nor charged.
            del self._streams[update.request_id]
            while not stream.empty():
                stream.get_nowait()
            stream.put_nowait(Overloaded("The answer was read too slowly."))
            if self._child is not None:
                self._child.send(Abort(update.request_id))


async def _wait_for_end(updates: asyncio.Queue[EngineUpdate | SeekdError], on_prompt: PromptListener) -> None:
    """Wait for the end of an aborted request, which may be in the step that runs; a death ends it too."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_MAX_STEP_S):
            while isinstance(update := await updates.get(), EngineUpdate):
                on_prompt(update)
                if update.finish_reason is not None:
                    return
