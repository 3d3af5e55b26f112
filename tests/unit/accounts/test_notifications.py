import asyncio

from seekd.accounts.notifications import Notifications


async def test_a_change_wakes_all_who_wait_for_its_name_and_nobody_else() -> None:
    notifications = Notifications()
    first, second, other = notifications.listen("a"), notifications.listen("a"), notifications.listen("b")
    notifications.notify("a")
    notifications.notify("nobody waits for this")
    assert [waiting.done() for waiting in (first, second, other)] == [True, True, False]
    assert not notifications.listen("a").done()


async def test_a_waiter_that_was_cancelled_spoils_nothing() -> None:
    notifications = Notifications()
    waiting = notifications.listen("a")
    waiting.cancel()
    notifications.notify("a")
    again = notifications.listen("a")
    notifications.notify("a")
    await asyncio.wait_for(again, 1)


async def test_a_name_that_nobody_waits_for_any_more_is_forgotten() -> None:
    notifications = Notifications()
    waiting = [notifications.listen(f"key {number}") for number in range(100)]
    assert len(notifications) == 100
    del waiting[1:]
    assert len(notifications) == 1
