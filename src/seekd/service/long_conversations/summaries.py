"""Summaries that stand in for the oldest turns of conversations, made once and kept.

key ──known──────────────────────────────> summary
└───being made for another request─────> wait for it
└───neither──> a task makes it; it is cancelled when the last request that waits for it has left
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from seekd.service.generation import Generation

_OVERHEAD_BYTES = 200
"""Of one entry, about: its key, its objects and its place in the table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a model wrote about a part of a conversation.

    Attributes:
        is_cut: it reached its limit, and its end is missing.
    """

    text: str
    is_cut: bool = False


@dataclass(slots=True, kw_only=True)
class Making:
    """A summary that is being made.

    Attributes:
        generation: makes it; None until it is open.
        num_waiting: requests that wait for it.
    """

    generation: Generation | None = None
    num_waiting: int = 0
    task: asyncio.Task[Summary] = field(init=False)


@dataclass(slots=True, kw_only=True)
class Waiting:
    """What a request waits for before its own generation is open.

    Attributes:
        is_loading: for its model.
        making: for this summary; None for none.
    """

    is_loading: bool = False
    making: Making | None = None

    @property
    def has_begun(self) -> bool:
        """Whether work has begun that limits count and its account pays for."""
        generation = None if self.making is None else self.making.generation
        return generation is not None and generation.is_admitted

    @property
    def is_admitted(self) -> bool:
        """Whether its client may get a sign of life: it cannot be refused for what it waits for."""
        return self.is_loading or self.has_begun


Make = Callable[[Making], Coroutine[Any, Any, Summary]]


class SummaryStore:
    """Keeps the latest summaries within a budget. Used from one event loop.

    Args:
        budget_bytes: for the texts and what belongs to them.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._num_bytes = 0
        self._kept: OrderedDict[bytes, Summary] = OrderedDict()
        self._running: dict[bytes, Making] = {}

    def find(self, key: bytes) -> Summary | None:
        """The summary of that key; None where it is not known."""
        summary = self._kept.get(key)
        if summary is not None:
            self._kept.move_to_end(key)
        return summary

    async def obtain(self, key: bytes, make: Make, *, waiting: Waiting) -> Summary:
        """The summary of that key, made if it is not known and nobody makes it yet.

        Args:
            key: of the summary.
            make: makes it; called once for all that come meanwhile.
            waiting: is told what it waits for.

        Raises:
            SeekdError: as `make` raised it, for everybody who waits.
        """
        if (known := self.find(key)) is not None:
            return known
        making = self._running.get(key)
        if making is None:
            making = self._running[key] = Making()
            making.task = asyncio.create_task(self._keep(key, make, making))
        waiting.making = making
        making.num_waiting += 1
        try:
            return await asyncio.shield(making.task)
        finally:
            making.num_waiting -= 1
            if not making.num_waiting:
                await self._abandon(key, making)

    async def _keep(self, key: bytes, make: Make, making: Making) -> Summary:
        try:
            summary = await make(making)
        finally:
            self._forget(key, making)
        self._kept[key] = summary
        self._num_bytes += _size(summary)
        while self._num_bytes > self._budget_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._num_bytes -= _size(oldest)
        return summary

    async def _abandon(self, key: bytes, making: Making) -> None:
        # Who comes now begins anew: what is being cancelled still has to settle what it used.
        self._forget(key, making)
        if not making.task.done():
            making.task.cancel()
            await asyncio.wait([making.task])

    def _forget(self, key: bytes, making: Making) -> None:
        if self._running.get(key) is making:
            del self._running[key]


def _size(summary: Summary) -> int:
    return len(summary.text.encode()) + _OVERHEAD_BYTES
