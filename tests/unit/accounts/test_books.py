"""The facade: who may call, what is held, what is charged, and what happens when the database is away."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from seekd.accounts.access import AccessState
from seekd.accounts.books import Books, open_books
from seekd.accounts.driver import Connection
from seekd.accounts.instants import format_instant
from seekd.accounts.prices import PriceQuestion
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.settings import PriceSetting
from seekd.accounts.statements import statement
from seekd.accounts.types import Answer, Caller, Claim, Outcome, Price, Usage
from seekd.accounts.verify import verify_ledger
from seekd.errors import ConfigError, InsufficientBalance, StoreError, Unauthenticated, UnpricedModel
from tests.unit.accounts.conftest import UNIT_PRICE, Clock, OpenBooks, refuse_usage, settings, take_usage_again

PROMPT, COMPLETION = 60, 40
FULL = Usage(num_hit_tokens=0, num_miss_tokens=PROMPT, num_completion_tokens=COMPLETION, latency_ms=5.0)
USED_NOTHING = Usage(num_hit_tokens=0, num_miss_tokens=0, num_completion_tokens=0, is_error=True, outcome=Outcome.ERROR)


def reserve(books: Books, caller: Caller, request_id: str, model: str = "priced", **more: bool):  # type: ignore[no-untyped-def]
    return books.reserve(
        caller,
        request_id=request_id,
        model=model,
        num_prompt_tokens=PROMPT,
        max_completion_tokens=COMPLETION,
        **more,
    )


def top_up(registry: Registry, caller: Caller, micros: int) -> None:
    registry.top_up(caller.account_id, currency="USD", micros=micros)


async def amounts(books: Books, caller: Caller) -> tuple[int, int]:
    """Total and held micro-units in USD."""
    balance = await books.balance(caller.account_id)
    return balance.currencies[0].total_micros, balance.currencies[0].held_micros


# --- who may call


async def test_no_key_is_asked_for_while_none_has_ever_existed(books: Books) -> None:
    caller = await books.authenticate("sk-whatever a client was configured with")
    assert caller.is_open
    assert await books.access() is AccessState.OPEN
    assert not await books.any_key_ever()


async def test_the_first_key_closes_the_books_and_revoking_it_does_not_open_them(
    books: Books, registry: Registry
) -> None:
    key = registry.create_key(registry.create_account("a").id)
    with pytest.raises(Unauthenticated):
        await books.authenticate(None)
    registry.revoke_key(key.view.id)
    assert await books.access() is AccessState.ENFORCED
    with pytest.raises(Unauthenticated) as caught:
        await books.authenticate(None)
    assert caught.value.key_tail is None


async def test_a_key_tells_who_calls_and_a_wrong_one_shows_only_its_tail(books: Books, registry: Registry) -> None:
    account = registry.create_account("a")
    key = registry.create_key(account.id, KeyOptions(name="ci", allowed_models=["priced"]))
    caller = await books.authenticate(key.secret)
    assert (caller.account_id, caller.key_id, caller.name) == (account.id, key.view.id, "ci")
    assert caller.may_use("priced")
    assert not caller.may_use("other")
    with pytest.raises(Unauthenticated) as caught:
        await books.authenticate("sk-00000000000000000000000000001234")
    assert caught.value.key_tail == "1234"


async def test_a_revoked_key_fails_at_the_next_check_although_it_is_cached(books: Books, registry: Registry) -> None:
    key = registry.create_key(registry.create_account("a").id)
    await books.authenticate(key.secret)
    registry.revoke_key(key.view.id)
    with pytest.raises(Unauthenticated):
        await books.authenticate(key.secret)


async def test_a_key_of_a_disabled_account_fails_at_the_next_check_until_it_is_enabled(
    books: Books, registry: Registry
) -> None:
    registry.create_account("lab")
    key = registry.create_key("lab")
    await books.authenticate(key.secret)
    registry.disable("lab")
    with pytest.raises(Unauthenticated):
        await books.authenticate(key.secret)
    registry.enable("lab")
    assert (await books.authenticate(key.secret)).key_id == key.view.id


async def test_a_key_revoked_between_check_and_reservation_gets_nothing(
    books: Books, caller: Caller, registry: Registry
) -> None:
    assert caller.key_id is not None
    registry.revoke_key(caller.key_id)
    with pytest.raises(Unauthenticated):
        await reserve(books, caller, "r", model="free")


async def test_an_account_disabled_between_check_and_reservation_gets_nothing(
    books: Books, caller: Caller, registry: Registry
) -> None:
    registry.disable(caller.account_id)
    with pytest.raises(Unauthenticated):
        await reserve(books, caller, "r")
    with pytest.raises(Unauthenticated):
        await reserve(books, caller, "r", model="free")


async def test_an_expired_key_fails(books: Books, registry: Registry, clock: Clock) -> None:
    account = registry.create_account("a")
    key = registry.create_key(account.id, KeyOptions(expires_at_ms=clock.now_ms + 1000))
    caller = await books.authenticate(key.secret)
    clock.now_s += 1.0
    with pytest.raises(Unauthenticated):
        await books.authenticate(key.secret)
    with pytest.raises(Unauthenticated):
        await reserve(books, caller, "r", model="free")


async def test_a_guesser_waits_and_the_holder_of_a_key_does_not(make_books: OpenBooks, registry: Registry) -> None:
    books = await make_books(failed_auth_free=0, failed_auth_delay_s=60.0)
    secret = registry.create_key(registry.create_account("a").id).secret
    guesses = [asyncio.create_task(books.authenticate(f"sk-guess-{number}", peer="10.0.0.9")) for number in range(12)]
    await asyncio.sleep(0)
    assert (await books.authenticate(secret, peer="10.0.0.9")).account_id != "open"
    assert not any(guess.done() for guess in guesses)
    for guess in guesses:
        guess.cancel()
    await asyncio.gather(*guesses, return_exceptions=True)


# --- money


async def test_prices_hold_for_open_access_too(books: Books, registry: Registry) -> None:
    caller = await books.authenticate(None)
    assert caller.is_open
    await books.release(await reserve(books, caller, "r1", model="free"))
    with pytest.raises(InsufficientBalance):
        await reserve(books, caller, "r2")
    registry.top_up("open", currency="USD", micros=100)
    assert (await reserve(books, caller, "r3")).held_micros == 100


async def test_of_200_requests_on_a_balance_for_20_exactly_20_are_answered(
    books: Books, caller: Caller, registry: Registry, connect: Callable[[], Connection]
) -> None:
    top_up(registry, caller, 20 * (PROMPT + COMPLETION))

    async def request(number: int) -> bool:
        try:
            reservation = await reserve(books, caller, f"r{number}")
        except InsufficientBalance:
            return False
        await asyncio.sleep(0.001 * (number % 7))
        await books.settle(reservation, FULL)
        return True

    answered = await asyncio.gather(*(request(number) for number in range(200)))
    assert sum(answered) == 20
    assert await amounts(books, caller) == (0, 0)
    assert verify_ledger(connect()).problems == ()


async def test_a_request_waits_where_only_a_hold_stands_in_its_way(
    books: Books, caller: Caller, registry: Registry
) -> None:
    top_up(registry, caller, 100)
    first = await reserve(books, caller, "first")
    second = asyncio.create_task(reserve(books, caller, "second"))
    await asyncio.sleep(0.05)
    assert not second.done()
    await books.settle(first, USED_NOTHING)
    reservation = await second
    assert reservation.held_micros == 100


async def test_a_top_up_by_another_process_ends_the_wait(books: Books, caller: Caller, registry: Registry) -> None:
    top_up(registry, caller, 100)
    await reserve(books, caller, "first")
    second = asyncio.create_task(reserve(books, caller, "second"))
    await asyncio.sleep(0.05)
    top_up(registry, caller, 100)
    assert (await second).held_micros == 100


async def test_the_wait_for_holds_ends(make_books: OpenBooks, registry: Registry) -> None:
    books = await make_books(hold_wait_s=0.05)
    account = registry.create_account("a")
    caller = await books.authenticate(registry.create_key(account.id).secret)
    top_up(registry, caller, 100)
    await reserve(books, caller, "first")
    with pytest.raises(InsufficientBalance):
        await reserve(books, caller, "second")


async def test_a_model_without_a_price_is_refused_where_others_have_one(books: Books, caller: Caller) -> None:
    for refused in (reserve(books, caller, "r", model="forgotten"), books.check_can_pay(caller, "forgotten")):
        with pytest.raises(UnpricedModel, match="no price for the model 'forgotten'"):
            await refused
    with pytest.raises(UnpricedModel):
        books.check_price("forgotten")


async def test_a_pricing_is_not_asked_for_a_price_that_was_forgotten(make_books: OpenBooks) -> None:
    books = await make_books(pricing=_OnePrice({}))
    assert books.price("priced", "open") == {}
    with pytest.raises(UnpricedModel):
        books.price("forgotten", "open")


async def test_where_a_pricing_alone_says_what_things_cost_nothing_is_forgotten(make_books: OpenBooks) -> None:
    books = await make_books(pricing=_OnePrice({}), prices=())
    assert books.price("any", "open") == {}


async def test_a_free_model_needs_no_balance_and_is_written_down(
    books: Books, caller: Caller, connect: Callable[[], Connection]
) -> None:
    reservation = await reserve(books, caller, "r", model="free")
    charge = await books.settle(reservation, FULL)
    assert (reservation.held_micros, charge.cost_micros) == (0, 0)
    await books.close()
    assert connect().rows(statement("SELECT request_id, cost_micros FROM usage")) == [("r", 0)]


async def test_a_free_request_waits_for_no_commit_but_its_idempotency_key_does(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(busy_timeout_s=60.0, store_timeout_s=60.0)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    claim = await books.claims.take(caller, idempotency_key="k", body=b"", request_id="kept")
    assert isinstance(claim, Claim)
    with locked(connect()):
        async with asyncio.timeout(30):
            await books.settle(await reserve(books, caller, "r", model="free"), FULL)
            await books.release(await reserve(books, caller, "nothing done", model="free"))
        kept = await reserve(books, caller, "kept", model="free", is_retry_safe=True)
        answer = Answer(status=200, headers=(), body=b"whole")
        settling = asyncio.create_task(books.settle(kept, FULL, claim=claim, answer=answer))
        done, _ = await asyncio.wait({settling}, timeout=0.1)
        assert not done
    await settling
    assert await books.claims.take(caller, idempotency_key="k", body=b"", request_id="again") == answer
    rows = connect().rows(statement("SELECT request_id, num_completion_tokens FROM usage ORDER BY request_id"))
    assert rows == [("kept", COMPLETION), ("r", COMPLETION)]
    assert connect().rows(statement("SELECT * FROM holds")) == []


async def test_what_a_free_request_used_outlives_a_process_that_never_wrote_it_to_the_database(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection], data_dir: Path
) -> None:
    books = await make_books(busy_timeout_s=60.0, store_timeout_s=60.0)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    with locked(connect()):
        await books.settle(await reserve(books, caller, "r", model="free"), FULL)
        left = (data_dir / "books.free.jsonl").read_bytes()  # what a killed process would leave
    await books.close()
    assert not (data_dir / "books.free.jsonl").exists()
    connect().run(statement("DELETE FROM usage"))
    for _ in range(2):  # a start that was killed itself does no harm
        (data_dir / "books.free.jsonl").write_bytes(left)
        await (await make_books()).close()
    rows = connect().rows(statement("SELECT request_id, outcome, num_completion_tokens FROM usage"))
    assert rows == [("r", "stop", COMPLETION)]


async def test_where_the_file_cannot_be_written_a_free_request_waits_for_the_database(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection], data_dir: Path
) -> None:
    books = await make_books(busy_timeout_s=60.0, store_timeout_s=60.0)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    (data_dir / "books.free.jsonl").mkdir()
    with locked(connect()):
        settling = asyncio.create_task(books.settle(await reserve(books, caller, "r", model="free"), FULL))
        done, _ = await asyncio.wait({settling}, timeout=0.1)
        assert not done
    assert (await settling).cost_micros == 0
    assert connect().rows(statement("SELECT request_id FROM usage")) == [("r",)]
    (data_dir / "books.free.jsonl").rmdir()


async def test_who_could_not_pay_for_two_tokens_is_known_without_a_prompt(
    books: Books, caller: Caller, registry: Registry
) -> None:
    await books.check_can_pay(caller, "free")
    with pytest.raises(InsufficientBalance):
        await books.check_can_pay(caller, "priced")
    top_up(registry, caller, 2)
    await books.check_can_pay(caller, "priced")


async def test_books_that_cannot_be_read_or_written_are_away(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(busy_timeout_s=0.01, store_timeout_s=0.05)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    assert not await books.is_away()
    connect().run(statement("ALTER TABLE versions RENAME TO hidden"))
    assert await books.is_away()
    connect().run(statement("ALTER TABLE hidden RENAME TO versions"))
    assert not await books.is_away()
    with locked(connect()):
        await books.settle(await reserve(books, caller, "r", model="free"), FULL)
        async with asyncio.timeout(30):
            while not await books.is_away():
                await asyncio.sleep(0.01)


async def reserve_until_refused(books: Books, caller: Caller) -> None:
    async with asyncio.timeout(30):
        while True:
            await reserve(books, caller, "refused", model="free")
            await asyncio.sleep(0.01)


async def test_a_request_pays_the_price_at_which_it_was_let_in(
    make_books: OpenBooks, registry: Registry, clock: Clock
) -> None:
    dearer = PriceSetting(
        model="priced", currency="USD", hit="9", miss="9", output="9", valid_from=format_instant(clock.now_ms + 60_000)
    )
    books = await make_books(prices=(UNIT_PRICE, dearer))
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 10_000)
    before = await reserve(books, caller, "before")
    clock.now_s += 60
    during = await reserve(books, caller, "after")
    assert (await books.settle(before, FULL)).cost_micros == PROMPT + COMPLETION
    assert (await books.settle(during, FULL)).cost_micros == 9 * (PROMPT + COMPLETION)


async def test_free_requests_are_refused_from_the_first_usage_on_that_cannot_be_written(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(busy_timeout_s=0.01, store_timeout_s=0.05)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    with locked(connect()):
        await books.settle(await reserve(books, caller, "r", model="free"), FULL)
        with pytest.raises(StoreError):
            await reserve_until_refused(books, caller)
    async with asyncio.timeout(30):
        while not connect().rows(statement("SELECT request_id FROM usage")):
            await asyncio.sleep(0.01)
    await reserve(books, caller, "next", model="free")


async def test_what_was_not_used_is_given_back(books: Books, caller: Caller, registry: Registry) -> None:
    top_up(registry, caller, 1000)
    reservation = await reserve(books, caller, "r")
    assert await amounts(books, caller) == (1000, 100)
    charge = await books.settle(
        reservation, Usage(num_hit_tokens=50, num_miss_tokens=10, num_completion_tokens=7, outcome=Outcome.DISCONNECT)
    )
    assert charge.cost_micros == 67
    assert await amounts(books, caller) == (933, 0)
    await books.release(await reserve(books, caller, "r2"))
    assert await amounts(books, caller) == (933, 0)


async def test_a_cancelled_reservation_holds_nothing(books: Books, caller: Caller, registry: Registry) -> None:
    top_up(registry, caller, 1000)
    for number in range(20):
        task = asyncio.create_task(reserve(books, caller, f"r{number}"))
        await asyncio.sleep(0.0002 * (number % 5))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await books.release(await task)
    await books.release(await reserve(books, caller, "last"))  # everything before it has been written
    assert await amounts(books, caller) == (1000, 0)


async def test_a_settlement_whose_caller_is_cancelled_is_made(books: Books, caller: Caller, registry: Registry) -> None:
    top_up(registry, caller, 1000)
    task = asyncio.create_task(books.settle(await reserve(books, caller, "r"), FULL))
    await asyncio.sleep(0)
    task.cancel()
    await books.release(await reserve(books, caller, "next"))
    assert await amounts(books, caller) == (900, 0)


async def test_an_empty_balance_is_available_only_where_everything_is_free(
    books: Books, make_books: OpenBooks, caller: Caller, data_dir: Path
) -> None:
    assert not (await books.balance(caller.account_id)).is_available
    await books.close()
    free = await make_books(prices=())
    balance = await free.balance(caller.account_id)
    assert balance.is_available
    assert [entry.currency for entry in balance.currencies] == ["USD"]


# --- recovery


def _usage_of(num_tokens: int) -> Usage:
    return Usage(num_hit_tokens=0, num_miss_tokens=60, num_completion_tokens=num_tokens)


async def test_a_dead_servers_requests_are_charged_for_what_they_noted_and_no_more(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(progress_interval_s=0.0)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 1000)
    noted, silent, retried = [
        await reserve(books, caller, name, is_retry_safe=name == "retried") for name in ("noted", "silent", "retried")
    ]
    for reservation in (noted, retried):
        books.note(reservation, _usage_of(3))
    await books.settle(await reserve(books, caller, "answered"), FULL)
    await books.close()  # nothing was settled: as if it had been killed
    after = await make_books()
    assert await amounts(after, caller) == (1000 - 63 - 100, 0)
    rows = connect().rows(statement("SELECT request_id, outcome, cost_micros FROM usage ORDER BY request_id"))
    assert rows == [
        ("answered", "stop", 100),
        ("noted", "recovered", 63),
        ("retried", "recovered", 0),
        ("silent", "recovered", 0),
    ]
    assert silent.held_micros == 100


async def test_a_free_request_that_dies_with_its_server_is_known_by_what_it_noted(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    dying = await make_books(progress_interval_s=0.0)
    caller = await dying.authenticate(registry.create_key(registry.create_account("a").id).secret)
    noted, ended, _silent = [await reserve(dying, caller, name, model="free") for name in ("noted", "ended", "silent")]
    for num_tokens in (1, 2):
        for reservation in (noted, ended):
            dying.note(reservation, _usage_of(num_tokens))
    await dying.settle(ended, FULL)
    await dying.close()  # as if it had been killed
    await make_books()
    rows = connect().rows(
        statement("SELECT request_id, outcome, num_completion_tokens, cost_micros FROM usage ORDER BY request_id")
    )
    assert rows == [("ended", "stop", COMPLETION, 0), ("noted", "recovered", 2, 0)]


async def test_a_gateway_thought_dead_that_settles_after_all_pays_the_difference_once(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(progress_interval_s=0.0)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 1000)
    reservation = await reserve(books, caller, "r")
    books.note(reservation, _usage_of(3))
    await books.close()
    after = await make_books()
    for _ in range(2):
        charge = await after.settle(reservation, FULL)
        assert charge.cost_micros == 100
    assert await amounts(after, caller) == (900, 0)
    assert verify_ledger(connect()).problems == ()


@pytest.mark.fault("clock-of-the-machine-jumps")
@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_jump_of_the_machines_clock_ends_no_running_request(
    books: Books, caller: Caller, registry: Registry, clock: Clock, hours: int
) -> None:
    top_up(registry, caller, 100)
    reservation = await reserve(books, caller, "r")
    clock.now_s += hours * 3600
    assert await amounts(books, caller) == (100, 100)
    await books.settle(reservation, FULL)
    assert await amounts(books, caller) == (0, 0)


async def test_a_second_server_on_the_same_directory_is_refused(books: Books, data_dir: Path) -> None:
    with pytest.raises(ConfigError, match="Another seekd server"):
        open_books(settings(), data_dir, allows_open=True)


# --- the database is away


@contextlib.contextmanager
def locked(connection: Connection):  # type: ignore[no-untyped-def]
    """Another process that writes and does not end."""
    connection.begin()
    try:
        yield
    finally:
        connection.rollback()


async def test_while_the_database_is_busy_requests_are_refused_and_hold_nothing(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(busy_timeout_s=0.01, store_timeout_s=0.05)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 1000)
    with locked(connect()), pytest.raises(StoreError):
        await reserve(books, caller, "refused")
    await books.release(await reserve(books, caller, "next"))
    assert await amounts(books, caller) == (1000, 0)
    assert connect().rows(statement("SELECT * FROM holds")) == []


async def test_a_settlement_outlives_a_database_that_is_away_and_the_process(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection], data_dir: Path
) -> None:
    books = await make_books(busy_timeout_s=0.01, store_timeout_s=0.05)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 1000)
    reservation = await reserve(books, caller, "r")
    blocker = connect()
    with locked(blocker):
        charge = await books.settle(reservation, FULL)
        assert charge.cost_micros == 100
        journal = (data_dir / "books.unsettled.jsonl").read_text()  # what a killed process would leave
    assert journal
    await books.close()
    assert not (data_dir / "books.unsettled.jsonl").exists()
    (data_dir / "books.unsettled.jsonl").write_text(journal + '[{"cut sho')
    after = await make_books()
    assert await amounts(after, caller) == (900, 0)  # charged once, although it was in both


@pytest.mark.fault("settlement-that-the-database-refuses")
async def test_a_refused_settlement_keeps_its_hold_and_is_charged_at_the_next_start_that_can(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books()
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 150)
    reservation = await reserve(books, caller, "r")
    refuse_usage(connect(), "r")
    charge = await books.settle(reservation, FULL)
    assert charge.cost_micros == 100
    assert (books.num_refused, await amounts(books, caller)) == (1, (150, 100))
    await books.close()
    again = await make_books()
    assert (again.num_refused, await amounts(again, caller)) == (1, (150, 100))
    await again.close()
    take_usage_again(connect())
    after = await make_books()
    assert (after.num_refused, await amounts(after, caller)) == (0, (50, 0))
    assert verify_ledger(connect()).problems == ()


async def test_a_refused_settlement_of_a_free_request_outlives_its_file(
    make_books: OpenBooks, connect: Callable[[], Connection]
) -> None:
    books = await make_books()
    caller = await books.authenticate(None)
    refuse_usage(connect(), "r")
    await books.settle(await reserve(books, caller, "r", model="free"), FULL)
    await books.close()
    assert books.num_refused == 1
    take_usage_again(connect())
    assert (await make_books()).num_refused == 0
    assert connect().rows(statement("SELECT request_id FROM usage")) == [("r",)]


# --- a pricing of another package


class _OnePrice:
    """Costs what it is told to, or fails. Implements `prices.Pricing`."""

    def __init__(self, answer: Mapping[str, Price] | Exception) -> None:
        self.answer = answer
        self.questions: list[PriceQuestion] = []

    def prices(self, question: PriceQuestion) -> Mapping[str, Price]:
        self.questions.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def _each(micros: int) -> Price:
    return Price(hit_micros=micros, miss_micros=micros, output_micros=micros)


async def test_a_pricing_says_what_is_held_and_charged(make_books: OpenBooks, registry: Registry, clock: Clock) -> None:
    pricing = _OnePrice({"USD": _each(3_000_000)})
    books = await make_books(pricing=pricing)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    top_up(registry, caller, 1000)
    reservation = await reserve(books, caller, "r")
    assert await amounts(books, caller) == (1000, 3 * (PROMPT + COMPLETION))
    assert (await books.settle(reservation, FULL)).cost_micros == 3 * (PROMPT + COMPLETION)
    [question] = pricing.questions
    assert question == PriceQuestion(
        model="priced", account_id=caller.account_id, at_ms=clock.now_ms, table={"USD": _each(1_000_000)}
    )


async def test_without_a_price_of_it_a_request_is_free(make_books: OpenBooks, registry: Registry) -> None:
    books = await make_books(pricing=_OnePrice({"USD": _each(0)}))
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    await books.check_can_pay(caller, "priced")
    assert (await reserve(books, caller, "r")).held_micros == 0


@pytest.mark.parametrize("answer", [KeyError("bug"), {"USD": _each(-1)}])
async def test_a_pricing_that_fails_refuses_the_request(
    make_books: OpenBooks, registry: Registry, answer: Mapping[str, Price] | Exception
) -> None:
    books = await make_books(pricing=_OnePrice(answer))
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    with pytest.raises(StoreError, match="price of the request cannot be had"):
        await reserve(books, caller, "r")
