"""A summary is made once, for everybody who waits for it, and kept while there is room."""

from __future__ import annotations

import asyncio

import pytest

from seekd.errors import EngineError
from seekd.service.long_conversations.summaries import Making, Summary, SummaryStore, Waiting


class Maker:
    """Makes a summary when the test lets it."""

    def __init__(self, text: str = "- a") -> None:
        self.text = text
        self.num_calls = 0
        self.num_cancelled = 0
        self.go_on = asyncio.Event()
        self.error: EngineError | None = None

    async def __call__(self, making: Making) -> Summary:
        self.num_calls += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return Summary(text=self.text)


async def _begin(store: SummaryStore, maker: Maker, waiting: Waiting | None = None) -> asyncio.Task[Summary]:
    task = asyncio.create_task(store.obtain(b"key", maker, waiting=waiting or Waiting()))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_those_who_come_at_once_wait_for_one_and_later_ones_find_it() -> None:
    store, maker = SummaryStore(10_000), Maker()
    waiting = Waiting()
    both = [await _begin(store, maker), await _begin(store, maker, waiting)]
    assert waiting.making is not None
    assert not waiting.is_admitted  # nothing is open yet
    maker.go_on.set()
    assert await asyncio.gather(*both) == [Summary(text="- a")] * 2
    assert store.find(b"key") == await store.obtain(b"key", maker, waiting=Waiting())
    assert maker.num_calls == 1


async def test_one_that_leaves_does_not_end_the_work_of_the_other() -> None:
    store, maker = SummaryStore(10_000), Maker()
    leaver, stayer = await _begin(store, maker), await _begin(store, maker)
    leaver.cancel()
    await asyncio.wait([leaver])
    maker.go_on.set()
    assert (await stayer).text == "- a"
    assert maker.num_cancelled == 0


async def test_the_last_one_that_leaves_ends_it_and_the_next_begins_anew() -> None:
    store, maker = SummaryStore(10_000), Maker()
    for task in (await _begin(store, maker), await _begin(store, maker)):
        task.cancel()
    task = await _begin(store, maker)
    assert (maker.num_calls, maker.num_cancelled) == (2, 1)
    maker.go_on.set()
    assert (await task).text == "- a"


async def test_a_failure_is_told_to_everybody_and_not_kept() -> None:
    store, maker = SummaryStore(10_000), Maker()
    maker.error = EngineError("it died")
    both = [await _begin(store, maker), await _begin(store, maker)]
    maker.go_on.set()
    for failed in await asyncio.gather(*both, return_exceptions=True):
        assert failed is maker.error
    assert store.find(b"key") is None
    with pytest.raises(EngineError):
        await store.obtain(b"key", maker, waiting=Waiting())
    assert maker.num_calls == 2


async def test_the_least_recently_used_ones_are_dropped_beyond_the_budget() -> None:
    store = SummaryStore(3 * 1300)
    makers = [Maker("x" * 1000) for _ in range(4)]
    for index, maker in enumerate(makers):
        maker.go_on.set()
        await store.obtain(bytes([index]), maker, waiting=Waiting())
        store.find(b"\x00")
    assert [store.find(bytes([index])) is not None for index in range(4)] == [True, False, True, True]


async def test_one_larger_than_the_budget_is_handed_out_and_not_kept() -> None:
    store, maker = SummaryStore(100), Maker()
    maker.go_on.set()
    assert (await store.obtain(b"key", maker, waiting=Waiting())).text == "- a"
    assert store.find(b"key") is None


def test_who_waits_for_a_model_may_get_a_sign_of_life() -> None:
    assert Waiting(is_loading=True).is_admitted
    assert not Waiting().is_admitted
