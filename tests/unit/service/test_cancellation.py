"""What ends a block from outside, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from seekd.errors import RequestCancelled
from seekd.service.cancellation import Cancellation


async def _wait(cancellation: Cancellation, begun: asyncio.Event) -> None:
    with cancellation:
        begun.set()
        await asyncio.Event().wait()


async def _waiting(cancellation: Cancellation) -> asyncio.Task[None]:
    begun = asyncio.Event()
    task = asyncio.create_task(_wait(cancellation, begun))
    await begun.wait()
    return task


async def test_what_waits_in_the_block_ends_and_its_listener_is_told_once() -> None:
    cancellation, told = Cancellation(), []
    cancellation.listener = lambda: told.append("told")
    task = await _waiting(cancellation)
    cancellation.cancel()
    cancellation.cancel()
    with pytest.raises(RequestCancelled):
        await task
    assert told == ["told"]
    assert task.cancelling() == 0


async def test_a_task_that_somebody_else_cancels_is_cancelled() -> None:
    cancellation = Cancellation()
    task = await _waiting(cancellation)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_task_that_somebody_else_cancels_too_is_cancelled() -> None:
    cancellation = Cancellation()
    task = await _waiting(cancellation)
    cancellation.cancel()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_who_iterates_is_not_cancelled_but_gets_no_more() -> None:
    cancellation = Cancellation()

    async def numbers() -> AsyncIterator[int]:
        with cancellation:
            for number in range(3):
                cancellation.suspend()
                yield number
                cancellation.resume()

    seen: list[int] = []

    async def consume() -> None:
        async for number in numbers():
            seen.append(number)
            cancellation.cancel()
            await asyncio.sleep(0)  # the caller's own work goes on

    with pytest.raises(RequestCancelled):
        await consume()
    assert seen == [0]
