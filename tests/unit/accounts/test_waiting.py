import asyncio

from seekd.accounts.waiting import Changes


async def test_a_change_wakes_all_who_wait_for_its_name_and_nobody_else() -> None:
    changes = Changes()
    first, second, other = changes.next("a"), changes.next("a"), changes.next("b")
    changes.happened("a")
    changes.happened("nobody waits for this")
    assert [waiting.done() for waiting in (first, second, other)] == [True, True, False]
    assert not changes.next("a").done()


async def test_a_waiter_that_was_cancelled_spoils_nothing() -> None:
    changes = Changes()
    waiting = changes.next("a")
    waiting.cancel()
    changes.happened("a")
    again = changes.next("a")
    changes.happened("a")
    await asyncio.wait_for(again, 1)


async def test_a_name_that_nobody_waits_for_any_more_is_forgotten() -> None:
    changes = Changes()
    waiting = [changes.next(f"key {number}") for number in range(100)]
    assert len(changes) == 100
    del waiting[1:]
    assert len(changes) == 1
