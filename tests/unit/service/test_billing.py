from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from seekd.accounts.books import Books, open_books
from seekd.accounts.driver import Connection
from seekd.accounts.limiter import Limiter
from seekd.accounts.registry import Registry
from seekd.accounts.reports import UsageLine, UsageQuery, usage_report
from seekd.accounts.settings import AccountsSettings, PriceSetting
from seekd.accounts.store import open_connection
from seekd.accounts.types import Answer, Caller, Claim, Limits, Outcome, Usage
from seekd.errors import InsufficientBalance, RateLimited, UnpricedModel
from seekd.service.billing import Bill, Billing

SETTINGS = AccountsSettings(
    prices=(PriceSetting(model="m", currency="USD", hit="1", miss="1", output="1"),),
    account_limits=Limits(tokens_per_minute=1000),
    synchronous="normal",
)
ANSWER = Answer(status=200, headers=(), body=b"{}")


def used(outcome: Outcome, *, is_error: bool = False) -> Usage:
    return Usage(num_hit_tokens=0, num_miss_tokens=60, num_completion_tokens=10, outcome=outcome, is_error=is_error)


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    return open_connection(SETTINGS, tmp_path)


@pytest.fixture
async def books(connection: Connection, tmp_path: Path) -> AsyncIterator[Books]:
    books = open_books(SETTINGS, tmp_path, allows_open=False)
    await books.start()
    yield books
    await books.close()


@pytest.fixture
def billing(books: Books) -> Billing:
    return Billing(books, Limiter(SETTINGS, total_micros=books.total_micros))


@pytest.fixture
async def caller(books: Books, connection: Connection) -> Caller:
    registry = Registry(connection)
    account = registry.create_account("a")
    registry.top_up(account.id, currency="USD", micros=1000)
    return await books.authenticate(registry.create_key(account.id).secret)


async def reserve(
    billing: Billing,
    caller: Caller,
    request_id: str,
    *,
    num_prompt_tokens: int = 60,
    most: int = 40,
    claim: Claim | None = None,
) -> Bill:
    return await billing.reserve(
        caller,
        request_id=request_id,
        model="m",
        num_prompt_tokens=num_prompt_tokens,
        max_completion_tokens=most,
        claim=claim,
    )


async def claim(books: Books, caller: Caller, request_id: str) -> Claim:
    claimed = await books.claims.take(caller, idempotency_key="k", body=b"body", request_id=request_id)
    assert isinstance(claimed, Claim)
    return claimed


def report(connection: Connection) -> UsageLine:
    (line,) = usage_report(connection, UsageQuery(by=()))
    return line


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.SHUTDOWN, Outcome.CANCELLED, Outcome.INTERRUPTED])
async def test_an_attempt_that_the_server_failed_is_charged_only_without_a_key(
    books: Books, billing: Billing, caller: Caller, connection: Connection, outcome: Outcome
) -> None:
    bill = await reserve(billing, caller, "keyed", claim=await claim(books, caller, "keyed"))
    await bill.settle(used(outcome, is_error=True))
    assert (report(connection).cost, report(connection).num_errors) == ("0.00", 1)
    bill = await reserve(billing, caller, "plain", claim=None)
    await bill.settle(used(outcome, is_error=True))
    assert report(connection).cost == "0.00007"


async def test_a_retry_of_a_failed_attempt_runs_and_is_charged_once(
    books: Books, billing: Billing, caller: Caller, connection: Connection
) -> None:
    bill = await reserve(billing, caller, "first", claim=await claim(books, caller, "first"))
    await bill.settle(used(Outcome.ERROR, is_error=True))
    bill = await reserve(billing, caller, "second", claim=await claim(books, caller, "second"))
    await bill.settle(used(Outcome.STOP), answer=ANSWER)
    assert await books.claims.take(caller, idempotency_key="k", body=b"body", request_id="third") == ANSWER
    assert report(connection).cost == "0.00007"


async def test_an_attempt_that_took_too_long_is_charged_also_under_a_key(
    books: Books, billing: Billing, caller: Caller, connection: Connection
) -> None:
    bill = await reserve(billing, caller, "r", claim=await claim(books, caller, "r"))
    await bill.settle(used(Outcome.DEADLINE, is_error=True))
    assert report(connection).cost == "0.00007"


@pytest.mark.parametrize(
    ("num_prompt_tokens", "most", "error"), [(60, 10_000, InsufficientBalance), (2000, 1, RateLimited)]
)
async def test_a_refused_request_leaves_its_idempotency_key_free(
    books: Books, billing: Billing, caller: Caller, num_prompt_tokens: int, most: int, error: type[Exception]
) -> None:
    claimed = await claim(books, caller, "first")
    with pytest.raises(error):
        await reserve(billing, caller, "first", num_prompt_tokens=num_prompt_tokens, most=most, claim=claimed)
    await claim(books, caller, "second")


async def test_settling_twice_counts_once(billing: Billing, caller: Caller, connection: Connection) -> None:
    bill = await reserve(billing, caller, "r", claim=None)
    first = await bill.settle(used(Outcome.STOP))
    assert await bill.settle(used(Outcome.ERROR, is_error=True)) is first
    assert report(connection).num_requests == 1


async def test_counting_is_admitted_for_as_long_as_it_lasts_and_costs_nothing(
    books: Books, caller: Caller, connection: Connection
) -> None:
    limiter = Limiter(replace(SETTINGS, account_limits=Limits(max_concurrency=1)), total_micros=books.total_micros)
    billing = Billing(books, limiter)
    async with billing.counting(caller, model="m", request_id="c"):
        with pytest.raises(RateLimited):
            await billing.check(caller, "m")
    await billing.check(caller, "m")
    assert usage_report(connection, UsageQuery()) == []


async def test_who_could_pay_for_nothing_may_not_count_either(
    books: Books, billing: Billing, connection: Connection
) -> None:
    registry = Registry(connection)
    poor = await books.authenticate(registry.create_key(registry.create_account("poor").id).secret)
    with pytest.raises(InsufficientBalance):
        await billing.check(poor, "m")
    with pytest.raises(InsufficientBalance):
        async with billing.counting(poor, model="m", request_id="c"):
            pass
    with pytest.raises(UnpricedModel):
        async with billing.counting(poor, model="without a price", request_id="c"):
            pass


@pytest.mark.parametrize(("progress_interval_s", "cost"), [(0.0, "0.00007"), (3600.0, "0.00")])
async def test_a_recovery_charges_what_was_noted_and_notes_are_written_now_and_then(
    connection: Connection, tmp_path: Path, progress_interval_s: float, cost: str
) -> None:
    settings = replace(SETTINGS, progress_interval_s=progress_interval_s)
    registry = Registry(connection)
    registry.top_up("open", currency="USD", micros=1000)
    books = open_books(settings, tmp_path, allows_open=True)
    await books.start()
    billing = Billing(books, Limiter(settings, total_micros=books.total_micros))
    bill = await reserve(billing, await books.authenticate(None), "r")
    asked: list[str] = []

    def usage() -> Usage:
        asked.append("r")
        return used(Outcome.RUNNING)

    bill.note(usage)
    assert bool(asked) == (progress_interval_s == 0)  # what is not written is not asked for
    await books.close()  # without a settlement: as if it had been killed
    await open_books(settings, tmp_path, allows_open=True).close()
    assert report(connection).cost == cost
