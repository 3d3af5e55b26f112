from __future__ import annotations

from seekd.engine.link.watchdog import Watchdog, hang_limit_s


def expires(watchdog: Watchdog, start_s: float, end_s: float) -> bool:
    """Whether any of the checks in between, one in a quarter of the limit, finds a hang."""
    found = False
    while start_s <= end_s:
        found = watchdog.has_expired(start_s) or found
        start_s += watchdog.limit_s / 4
    return found


def test_an_idle_engine_does_not_hang() -> None:
    watchdog = Watchdog(10)
    assert not expires(watchdog, 0, 100)
    watchdog.request_started("a", 100)
    assert not expires(watchdog, 100, 110)
    watchdog.request_ended("a")
    assert not expires(watchdog, 110, 200)


def test_a_busy_engine_hangs_when_it_sends_nothing_for_longer_than_the_limit() -> None:
    watchdog = Watchdog(10)
    watchdog.request_started("a", 100)
    assert not expires(watchdog, 100, 110)
    assert expires(watchdog, 110, 112.5)


def test_a_message_starts_the_time_again_and_a_further_request_does_not() -> None:
    watchdog = Watchdog(10)
    watchdog.request_started("a", 0)
    assert not expires(watchdog, 0, 8)
    watchdog.message_received(8)
    watchdog.request_started("b", 9)
    assert not expires(watchdog, 9, 18)
    assert expires(watchdog, 18, 23)


def test_one_running_request_is_enough() -> None:
    watchdog = Watchdog(10)
    watchdog.request_started("a", 0)
    watchdog.request_started("b", 0)
    watchdog.request_ended("b")
    assert expires(watchdog, 0, 13)


def test_a_caller_that_was_stopped_itself_starts_the_time_again() -> None:
    watchdog = Watchdog(10)
    watchdog.request_started("a", 0)
    assert not expires(watchdog, 0, 5)
    assert not expires(watchdog, 500, 510)
    assert expires(watchdog, 510, 513)


def test_the_default_leaves_room_for_the_largest_step_of_a_slow_machine() -> None:
    assert hang_limit_s(None, model_bytes=0) == 60
    assert hang_limit_s(None, model_bytes=1 << 30) == 240
    assert hang_limit_s(None, model_bytes=40 << 30) == 60 + 40 * 180


def test_a_configured_limit_holds_for_every_model_and_none_stays_none() -> None:
    assert hang_limit_s(5.0, model_bytes=40 << 30) == 5.0
    assert hang_limit_s(0, model_bytes=40 << 30) == 0
