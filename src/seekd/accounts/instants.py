"""Instants as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_LAST_MS = 253_402_300_799_999  # of the year 9999: no date can write a later one
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_instant(text: str) -> int:
    """An ISO date or date-time as milliseconds since 1970; without a zone it is UTC.

    Raises:
        ValueError: not such a text.
    """
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_deadline(text: str, *, now_ms: int) -> int:
    """An instant, or a time from now such as `30d`, `12h`, `90s`.

    Raises:
        ValueError: neither, or after the year 9999; it says which.
    """
    span = _SPAN.fullmatch(text.strip())
    try:
        at_ms = parse_instant(text) if span is None else now_ms + int(span[1]) * _SECONDS[span[2]] * 1000
    except ValueError as error:
        raise ValueError(f"{text!r} is neither a date such as 2027-01-31 nor a span such as 30d") from error
    if at_ms > _LAST_MS:
        raise ValueError(f"{text!r} is after the year 9999")
    return at_ms


def format_instant(at_ms: int | None) -> str | None:
    """Milliseconds since 1970 as `2026-11-23T05:50:00Z`; None stays None.

    Books may hold an instant after the year 9999 from a time when those were let in: it is shown as the last of 9999.
    """
    if at_ms is None:
        return None
    return (
        datetime.fromtimestamp(min(at_ms, _LAST_MS) // 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )
