"""A request that somebody else ends: its client leaves, its time is up, or the server stops.

    interrupt(cause) ──> the listener is told ──> the request's task is cancelled ──> `caught` says why

Only the first cause counts: whoever sends the last words is not interrupted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Interruption:
    """Ends the task in which it is made.

    Attributes:
        listener: is told the cause before the task is cancelled; None where nobody asks.
    """

    __slots__ = ("_cause", "_task", "_timer", "listener")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cause: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.listener: Callable[[Exception], None] | None = None

    def interrupt(self, cause: Exception) -> None:
        """Cancel the task, unless that was done before."""
        if self._cause is not None:
            return
        self._cause = cause
        if self.listener is not None:
            self.listener(cause)
        self._task.cancel()

    def interrupt_after(self, limit_s: float, make_cause: Callable[[], Exception]) -> None:
        """Cancel the task when it takes longer; until `close`."""
        self._timer = asyncio.get_running_loop().call_later(limit_s, lambda: self.interrupt(make_cause()))

    def caught(self) -> Exception:
        """The cause, to be asked for where the cancellation ends; the task goes on.

        Raises:
            CancelledError: the task was cancelled by somebody else.
        """
        if self._cause is None:
            raise asyncio.CancelledError
        self._task.uncancel()
        return self._cause

    def close(self) -> None:
        """Forget the time limit and the listener."""
        self.listener = None
        if self._timer is not None:
            self._timer.cancel()
