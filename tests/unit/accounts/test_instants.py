import pytest

from seekd.accounts.instants import format_instant, parse_deadline, parse_instant

NOON_MS = 1_795_435_200_000


@pytest.mark.parametrize(
    "text", ["2026-11-23T12:00:00Z", "2026-11-23T12:00", "2026-11-23T20:00+08:00", "2026-11-23 12:00"]
)
def test_instants_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert parse_instant(text) == NOON_MS
    assert format_instant(parse_instant(text)) == "2026-11-23T12:00:00Z"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("12h", 43_200), ("30d", 2_592_000)])
def test_a_span_counts_from_now(text: str, seconds: int) -> None:
    assert parse_deadline(text, now_ms=1000) == 1000 + seconds * 1000


def test_a_deadline_may_be_an_instant() -> None:
    assert parse_deadline("2026-11-23T12:00", now_ms=0) == NOON_MS


@pytest.mark.parametrize("text", ["", "tomorrow", "5", "-5d", "5 d", "2026-13-01"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_deadline(text, now_ms=0)


def test_no_instant_stays_none() -> None:
    assert format_instant(None) is None


@pytest.mark.parametrize("text", ["999999w", "416131w", "9999-12-31T23:59-01:00"])
def test_a_deadline_that_no_date_can_write_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="9999"):
        parse_deadline(text, now_ms=NOON_MS)


def test_the_last_instants_of_the_year_9999_are_written_and_what_was_stored_after_them_is_shown_as_the_last() -> None:
    last_ms = parse_deadline("9999-12-31T23:59:59.999", now_ms=0)
    for at_ms in (last_ms, last_ms + 1, 2**62):
        assert format_instant(at_ms) == "9999-12-31T23:59:59Z"
