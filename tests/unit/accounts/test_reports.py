from collections.abc import Callable
from itertools import count

import pytest

from seekd.accounts.driver import Connection
from seekd.accounts.instants import parse_instant
from seekd.accounts.operations import Settle
from seekd.accounts.reports import Dimension, UsageQuery, percentile, to_csv, usage_report
from seekd.accounts.transaction import run_batch
from seekd.accounts.types import Outcome, Usage
from tests.unit.accounts.conftest import free_reservation


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    """Six requests of two models on two days."""
    connection = connect()
    numbers = count()

    def use(model: str, day: str, latency_ms: float | None, usage: Usage) -> None:
        now_ms = parse_instant(day)
        reservation = free_reservation(f"r{next(numbers)}", model=model)
        run_batch(connection, [Settle(reservation=reservation, usage=usage)], now_ms=now_ms, owner="o")

    for latency_ms in (10.0, 20.0, 30.0, 40.0):
        usage = Usage(
            num_hit_tokens=64, num_miss_tokens=6, num_completion_tokens=5, num_reasoning_tokens=2, latency_ms=latency_ms
        )
        use("=cmd()", "2026-11-22T23:59:59", latency_ms, usage)
    failed = Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0, outcome=Outcome.ERROR, is_error=True)
    use("b", "2026-11-23T00:00:00", None, failed)
    use("=cmd()", "2026-11-23T00:00:00", None, failed)
    return connection


def test_lines_are_by_day_and_model_with_exact_percentiles(connection: Connection) -> None:
    lines = usage_report(connection, UsageQuery())
    assert [(line.day, line.model, line.num_requests, line.num_errors) for line in lines] == [
        ("2026-11-22", "=cmd()", 4, 0),
        ("2026-11-23", "=cmd()", 1, 1),
        ("2026-11-23", "b", 1, 1),
    ]
    first = lines[0]
    assert (first.num_hit_tokens, first.num_miss_tokens, first.num_completion_tokens, first.num_reasoning_tokens) == (
        256,
        24,
        20,
        8,
    )
    assert (first.latency_p50_ms, first.latency_p95_ms) == (20.0, 40.0)
    assert lines[1].latency_p50_ms is None


def test_a_report_can_be_cut(connection: Connection) -> None:
    day = UsageQuery(by=(), since_ms=parse_instant("2026-11-23"), until_ms=parse_instant("2026-11-24"))
    assert [line.num_requests for line in usage_report(connection, day)] == [2]
    assert [line.num_requests for line in usage_report(connection, UsageQuery(by=(), model="b"))] == [1]
    assert usage_report(connection, UsageQuery(by=(), account_id="acct_other")) == []
    by_key = usage_report(connection, UsageQuery(by=(Dimension.ACCOUNT, Dimension.KEY)))
    assert [(line.account_id, line.key_id, line.num_requests) for line in by_key] == [("open", "", 6)]


def test_csv_has_the_columns_of_its_query_and_no_formula(connection: Connection) -> None:
    lines = to_csv(usage_report(connection, UsageQuery(by=(Dimension.MODEL,))), [Dimension.MODEL]).splitlines()
    assert lines[0].startswith("model,currency,num_requests,num_errors,num_cached,")
    assert lines[1].startswith("'=cmd(),USD,5,1,")
    assert to_csv([], [Dimension.MODEL]) == lines[0] + "\n"


@pytest.mark.parametrize(("percent", "value"), [(50, 2.0), (95, 4.0), (99, 4.0), (1, 1.0), (25, 1.0), (26, 2.0)])
def test_percentiles_are_nearest_rank(percent: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == value
    assert percentile([], percent) is None


def test_percentiles_are_rounded_to_what_was_measured() -> None:
    assert percentile([150.19944899995608], 50) == 150.2
