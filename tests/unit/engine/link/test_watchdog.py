from __future__ import annotations

from seekd.engine.link.watchdog import Silence, silence_limit_s


def looks(silence: Silence, start_s: float, end_s: float) -> bool:
    """Whether any of the looks in between, one in a quarter of the limit, found a hang."""
    found = False
    while start_s <= end_s:
        found = silence.is_too_long(start_s) or found
        start_s += silence.limit_s / 4
    return found


def test_an_idle_engine_owes_no_word() -> None:
    silence = Silence(10)
    assert not looks(silence, 0, 100)
    silence.asked("a", 100)
    assert not looks(silence, 100, 110)
    silence.done("a")
    assert not looks(silence, 110, 200)


def test_a_busy_engine_hangs_when_it_has_been_silent_for_longer_than_the_limit() -> None:
    silence = Silence(10)
    silence.asked("a", 100)
    assert not looks(silence, 100, 110)
    assert looks(silence, 110, 112.5)


def test_every_word_and_no_further_question_starts_the_time_anew() -> None:
    silence = Silence(10)
    silence.asked("a", 0)
    assert not looks(silence, 0, 8)
    silence.heard(8)
    silence.asked("b", 9)
    assert not looks(silence, 9, 18)
    assert looks(silence, 18, 23)


def test_one_who_is_still_waited_for_is_enough() -> None:
    silence = Silence(10)
    silence.asked("a", 0)
    silence.asked("b", 0)
    silence.done("b")
    assert looks(silence, 0, 13)


def test_an_asker_that_was_stopped_itself_counts_anew() -> None:
    silence = Silence(10)
    silence.asked("a", 0)
    assert not looks(silence, 0, 5)
    assert not looks(silence, 500, 510)
    assert looks(silence, 510, 513)


def test_the_default_leaves_room_for_the_largest_step_of_a_slow_machine() -> None:
    assert silence_limit_s(None, model_bytes=0) == 60
    assert silence_limit_s(None, model_bytes=1 << 30) == 240
    assert silence_limit_s(None, model_bytes=40 << 30) == 60 + 40 * 180


def test_a_configured_limit_holds_for_every_model_and_none_stays_none() -> None:
    assert silence_limit_s(5.0, model_bytes=40 << 30) == 5.0
    assert silence_limit_s(0, model_bytes=40 << 30) == 0
