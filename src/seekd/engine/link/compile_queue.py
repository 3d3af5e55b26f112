"""Constraints that are compiled beside the engine loop, so that a large grammar does not stop everybody's tokens.

    submit ──> waiting, by key ──its key's turn──> the thread ──> take
                 └──abort: gone

Everything but the compiling itself happens in the engine loop, which is woken when the thread is done. The thread is a
daemon: the process can end in the middle of a compilation.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from seekd.engine.schedule.fairness import Rotation
from seekd.engine.types import Constraint, EngineRequest
from seekd.errors import EngineError, SeekdError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A request with its constraint, or with the reason why it has none."""

    request: EngineRequest
    constraint: Constraint | None = None
    error: SeekdError | None = None


class CompileQueue:
    """Compiles one constraint at a time; the requests' fairness keys take turns.

    Args:
        compile_constraint: called by another thread.
        wake: called there when something can be taken.
    """

    def __init__(
        self, compile_constraint: Callable[[EngineRequest], Constraint | None], wake: Callable[[], None]
    ) -> None:
        self._compile_constraint = compile_constraint
        self._wake = wake
        self._waiting: dict[str, deque[EngineRequest]] = {}  # by fairness key, none empty
        self._rotation = Rotation()
        self._running: str | None = None  # the id of the request whose constraint the thread compiles
        self._is_aborted = False  # the running one is
        self._work: SimpleQueue[EngineRequest] | None = None
        self._done: SimpleQueue[Compiled] = SimpleQueue()

    @property
    def num_waiting(self) -> int:
        """Requests that will come from here."""
        is_coming = self._running is not None and not self._is_aborted
        return sum(map(len, self._waiting.values())) + is_coming

    def submit(self, request: EngineRequest) -> None:
        """Put a request into the queue."""
        self._waiting.setdefault(request.fairness_key, deque()).append(request)
        self._start_next()

    def abort(self, request_id: str) -> bool:
        """Forget a request; whether it was here. One whose constraint is being compiled takes its time all the same."""
        if request_id == self._running and not self._is_aborted:
            self._is_aborted = True
            return True
        for key, requests in self._waiting.items():
            for request in requests:
                if request.request_id == request_id:
                    requests.remove(request)
                    if not requests:
                        del self._waiting[key]
                    return True
        return False

    def take(self) -> Compiled | None:
        """What is done and not forgotten; None when nothing is."""
        try:
            compiled = self._done.get_nowait()
        except Empty:
            return None
        is_aborted, self._is_aborted, self._running = self._is_aborted, False, None
        self._start_next()
        return None if is_aborted else compiled

    def _start_next(self) -> None:
        if self._running is not None or not self._waiting:
            return
        key = self._rotation.order(self._waiting)[0]
        self._rotation.serve(key)
        request = self._waiting[key].popleft()
        if not self._waiting[key]:
            del self._waiting[key]
        self._running = request.request_id
        if self._work is None:
            self._work = SimpleQueue()
            threading.Thread(target=self._run, args=(self._work,), name="constraints", daemon=True).start()
        self._work.put(request)

    def _run(self, work: SimpleQueue[EngineRequest]) -> None:
        while True:
            self._done.put(self._compile(work.get()))
            self._wake()

    def _compile(self, request: EngineRequest) -> Compiled:
        try:
            return Compiled(request=request, constraint=self._compile_constraint(request))
        except SeekdError as error:
            return Compiled(request=request, error=error)
        except Exception:
            _log.exception("a constraint could not be compiled", extra={"action": "constraint_failed"})
            return Compiled(request=request, error=EngineError())
