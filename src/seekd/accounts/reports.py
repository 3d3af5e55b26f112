"""What was used: by key, account, model and day.

A report is one pass over the usage rows in the order of its groups; it keeps the latencies of one group at a time, so
that its percentiles are exact. Requests of different currencies are never added up.
"""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from itertools import groupby
from typing import Any

from seekd.accounts.driver import Connection, Row, Statement, TransactionFailed
from seekd.accounts.statements import statement
from seekd.accounts.types import format_exact
from seekd.errors import InvalidParameter, StoreError


class Dimension(enum.StrEnum):
    """What the lines of a report are about."""

    DAY = "day"  # UTC
    ACCOUNT = "account"
    KEY = "key"
    MODEL = "model"


_DAY_MS = 86_400_000
_NUM_SUMS = 7  # errors, cached, hit, miss, completion and reasoning tokens, cost
_COLUMNS: dict[Dimension, str] = {
    Dimension.DAY: f"u.at_ms / {_DAY_MS}",  # integers: the day's number since 1970, in UTC
    Dimension.ACCOUNT: "u.account_id",
    Dimension.KEY: "COALESCE(u.key_id, '')",
    Dimension.MODEL: "u.model",
}
_NAMES: dict[Dimension, str] = {  # fields of `UsageLine`
    Dimension.DAY: "day",
    Dimension.ACCOUNT: "account_id",
    Dimension.KEY: "key_id",
    Dimension.MODEL: "model",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """What a report covers; None does not restrict.

    Attributes:
        by: what its lines are about; empty is one line for each currency.
        since_ms: first instant.
        until_ms: instant before which it ends.
    """

    by: tuple[Dimension, ...] = (Dimension.DAY, Dimension.MODEL)
    account_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """One line of a report.

    Attributes:
        day: ISO date in UTC; as the other names, None when the report does not tell them apart.
        num_errors: requests that ended with an error.
        num_cached: requests that the response cache answered.
        cost: exact amount.
        latency_p50_ms: nearest-rank percentiles over the requests that have a latency; None when none has.
        first_token_p50_ms: the same of the time to the first token.
    """

    day: str | None = None
    account_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    currency: str
    num_requests: int
    num_errors: int
    num_cached: int
    num_hit_tokens: int
    num_miss_tokens: int
    num_completion_tokens: int
    num_reasoning_tokens: int
    cost: str
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None
    first_token_p50_ms: float | None


def parse_dimensions(names: Sequence[str]) -> tuple[Dimension, ...]:
    """What a report is asked to be about; of none asked for, the usual ones.

    Raises:
        InvalidParameter: there is no such thing, or one is asked for twice.
    """
    known = [str(dimension) for dimension in Dimension]
    for index, name in enumerate(names):
        if name not in known or name in names[:index]:
            raise InvalidParameter(
                f"A report is by any of {', '.join(known)}, each at most once; {name[:40]!r} is "
                f"{'asked for twice' if name in known else 'none of them'}."
            )
    return tuple(Dimension(name) for name in names) or UsageQuery().by


def usage_report(connection: Connection, query: UsageQuery) -> list[UsageLine]:
    """Add up what was used. Raises `StoreError`."""
    num_names = len(query.by) + 1
    try:
        rows = connection.stream(_statement(query), _parameters(query))
        return [_line(query.by, names, group) for names, group in groupby(rows, key=lambda row: row[:num_names])]
    except TransactionFailed as failure:
        raise StoreError("The usage could not be read.", reason=str(failure)) from failure


def to_csv(lines: Sequence[UsageLine], by: Sequence[Dimension]) -> str:
    """A report as comma-separated values with a header; its columns follow from the query, whatever was found."""
    told_apart = {_NAMES[dimension] for dimension in by}
    names = [field.name for field in fields(UsageLine) if field.name in told_apart or field.name not in _NAMES.values()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(getattr(line, name)) for name in names] for line in lines)
    return text.getvalue()


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of ordered values, to a tenth; None of no values."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[max(0, int(rank) - 1)], 1)


def _cell(value: object) -> object:
    # A spreadsheet would run a text such as "=1+1" as a formula.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _statement(query: UsageQuery) -> Statement:
    names = [*(_COLUMNS[dimension] for dimension in query.by), "u.currency"]
    conditions = [
        condition
        for condition, value in (
            ("u.account_id = :account_id", query.account_id),
            ("u.key_id = :key_id", query.key_id),
            ("u.model = :model", query.model),
            ("u.at_ms >= :since_ms", query.since_ms),
            ("u.at_ms < :until_ms", query.until_ms),
        )
        if value is not None
    ]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    order = ", ".join(str(number) for number in range(1, len(names) + 1))
    return statement(f"""
        SELECT {", ".join(names)}, u.is_error, CASE WHEN u.outcome = 'cached' THEN 1 ELSE 0 END, u.num_hit_tokens,
               u.num_miss_tokens, u.num_completion_tokens, u.num_reasoning_tokens, u.cost_micros,
               u.latency_ms, u.first_token_ms
        FROM usage u {where} ORDER BY {order}
    """)  # noqa: S608 - every part is a constant of this module


def _parameters(query: UsageQuery) -> dict[str, Any]:  # Any: text and numbers
    every = {
        "account_id": query.account_id,
        "key_id": query.key_id,
        "model": query.model,
        "since_ms": query.since_ms,
        "until_ms": query.until_ms,
    }
    return {name: value for name, value in every.items() if value is not None}


def _line(by: tuple[Dimension, ...], names: Row, group: Iterator[Row]) -> UsageLine:
    num_requests = 0
    sums = [0] * _NUM_SUMS
    latencies: list[float] = []
    first_tokens: list[float] = []
    for row in group:
        num_requests += 1
        values = row[len(names) :]
        for index in range(_NUM_SUMS):
            sums[index] += values[index]
        latency_ms, first_token_ms = values[_NUM_SUMS:]
        if latency_ms is not None:
            latencies.append(latency_ms)
        if first_token_ms is not None:
            first_tokens.append(first_token_ms)
    latencies.sort()
    first_tokens.sort()
    known: dict[str, Any] = dict(zip(by, names, strict=False))
    return UsageLine(
        day=(date(1970, 1, 1) + timedelta(days=known[Dimension.DAY])).isoformat() if Dimension.DAY in known else None,
        account_id=known.get(Dimension.ACCOUNT),
        key_id=known.get(Dimension.KEY),
        model=known.get(Dimension.MODEL),
        currency=names[-1],
        num_requests=num_requests,
        num_errors=sums[0],
        num_cached=sums[1],
        num_hit_tokens=sums[2],
        num_miss_tokens=sums[3],
        num_completion_tokens=sums[4],
        num_reasoning_tokens=sums[5],
        cost=format_exact(sums[6]),
        latency_p50_ms=percentile(latencies, 50),
        latency_p95_ms=percentile(latencies, 95),
        latency_p99_ms=percentile(latencies, 99),
        first_token_p50_ms=percentile(first_tokens, 50),
    )
