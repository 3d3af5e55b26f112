"""Places are taken in turns, by whoever waits, and none is lost."""

from __future__ import annotations

import asyncio

from seekd.service.fair_semaphore import FairSemaphore


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Users:
    """Callers that take a place and leave it when they are told to."""

    def __init__(self, num_places: int = 1) -> None:
        self.semaphore = FairSemaphore(num_places)
        self.inside: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._may_leave: dict[str, asyncio.Event] = {}

    async def come(self, *names: str) -> None:
        """The first letter of a name is its key."""
        for name in names:
            self._may_leave[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._use(name))
            await _settle()

    async def leave(self, name: str) -> None:
        self._may_leave[name].set()
        await self.tasks[name]
        await _settle()

    async def _use(self, name: str) -> None:
        async with self.semaphore.place(name[0]):
            self.inside.append(name)
            await self._may_leave[name].wait()
        self.inside.remove(name)


async def test_no_more_have_a_place_than_there_are() -> None:
    users = Users(num_places=2)
    await users.come("a1", "b1", "c1")
    assert users.inside == ["a1", "b1"]
    await users.leave("b1")
    assert users.inside == ["a1", "c1"]


async def test_callers_take_turns_and_requests_of_one_caller_keep_their_order() -> None:
    users = Users()
    await users.come("a1", "a2", "a3", "b1", "b2", "c1")
    order = []
    while users.inside:
        order.append(users.inside[0])
        await users.leave(order[-1])
    assert order == ["a1", "a2", "b1", "c1", "a3", "b2"]


async def test_who_no_longer_waits_is_passed_over_and_loses_nobody_a_place() -> None:
    users = Users()
    await users.come("a1", "b1", "c1")
    users.tasks["b1"].cancel()
    await _settle()
    await users.leave("a1")
    assert users.inside == ["c1"]
    await users.leave("c1")
    await users.come("d1")
    assert users.inside == ["d1"]


async def test_a_place_that_comes_to_who_is_cancelled_in_the_same_moment_goes_on() -> None:
    users = Users()
    await users.come("a1", "b1", "c1")
    users._may_leave["a1"].set()
    await asyncio.sleep(0)  # a1 has given its place to b1, which has not run yet
    users.tasks["b1"].cancel()
    await _settle()
    assert users.inside == ["c1"]
