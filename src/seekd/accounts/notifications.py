"""Waiting until somebody says that something of a name has changed.

Used on one event loop's thread. What another process changes is told to nobody, so whoever waits also looks now and
then.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

POLL_S = 0.25  # how soon a waiter sees what another process did


class Notifications:
    """Futures by name: those who wait for a change, and those who make it, know the name."""

    def __init__(self) -> None:
        # A name that nobody waits for any more leaves by itself: its change may happen in another process only.
        self._futures: WeakValueDictionary[str, asyncio.Future[None]] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many names are waited for."""
        return len(self._futures)

    def listen(self, name: str) -> asyncio.Future[None]:
        """Is done at the next `notify` of the name. Take it before looking, so that no change between is missed."""
        future = self._futures.get(name)
        if future is None or future.done():
            future = self._futures[name] = asyncio.get_running_loop().create_future()
        return future

    def notify(self, name: str) -> None:
        """Wake all who wait."""
        future = self._futures.pop(name, None)
        if future is not None and not future.done():
            future.set_result(None)
