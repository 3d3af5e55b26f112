"""Ending one request from outside of the task that serves it, in the way of `asyncio.timeout`.

    cancel ──> the listener is told ──> the task, if it is within the block, is cancelled ──> RequestCancelled

A generator that is in the block suspends it while it hands something out: its caller's work is not cancelled, and the
generator ends when it is asked for more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from seekd.errors import RequestCancelled


class Cancellation:
    """Ends what is done for one request: the block of its `with`. Used from one event loop.

    Attributes:
        listener: is told before anything ends; forgotten with the block.
    """

    def __init__(self) -> None:
        self.listener: Callable[[], None] = _ignore
        self._is_cancelled = False
        self._task: asyncio.Task[object] | None = None
        self._num_cancelling = 0

    def cancel(self) -> None:
        """End the block; a second call does nothing."""
        if self._is_cancelled:
            return
        self._is_cancelled = True
        self.listener()
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> Self:
        """Begin what `cancel` ends."""
        task = asyncio.current_task()
        assert task is not None
        self._num_cancelling = task.cancelling()
        self._task = task
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it. Raises `RequestCancelled` in place of the block's own end when it was cancelled."""
        self._task = None
        self.listener = _ignore  # it may know this object: a cycle would keep the request until the collector comes
        if self._is_cancelled and isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            # Whoever else has cancelled the task wants it to end altogether.
            if task is not None and task.uncancel() <= self._num_cancelling:
                raise RequestCancelled from None

    def suspend(self) -> None:
        """Let the caller's work be, until `resume`."""
        self._task = None

    def resume(self) -> None:
        """Go on. Raises `RequestCancelled` when the request was cancelled meanwhile."""
        if self._is_cancelled:
            raise RequestCancelled
        self._task = asyncio.current_task()


def _ignore() -> None:
    pass
