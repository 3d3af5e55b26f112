"""A few places for many callers, who take turns.

Used from one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from seekd.engine.schedule.fairness import Rotation


class FairSemaphore:
    """Gives a free place to whose turn it is; who asks often waits behind who asks rarely.

    Args:
        num_places: that can be taken at once.
    """

    def __init__(self, num_places: int) -> None:
        self._num_free = num_places
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._rotation = Rotation()

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Hold a place within the block; waits for it.

        Args:
            key: of the caller; callers of one key get their places in the order in which they came.
        """
        await self._take(key)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, key: str) -> None:
        if self._num_free:
            self._num_free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had come in the same moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        for key in self._rotation.order(self._waiting):
            turns = self._waiting[key]
            while turns:
                turn = turns.popleft()
                if not turn.done():
                    self._rotation.serve(key)
                    turn.set_result(None)
                    return
            del self._waiting[key]
        self._num_free += 1
