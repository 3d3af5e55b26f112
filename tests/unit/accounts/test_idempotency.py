"""Idempotency keys through the facade: one charge, one answer."""

import asyncio
from collections.abc import Callable

import pytest

from seekd.accounts.books import Books
from seekd.accounts.driver import Connection
from seekd.accounts.notifications import POLL_S
from seekd.accounts.registry import Registry
from seekd.accounts.statements import statement
from seekd.accounts.types import Answer, Caller, Claim, Twin, Usage
from seekd.errors import IdempotencyConflict, InvalidParameter, Overloaded, StoreError
from tests.unit.accounts.conftest import Clock, OpenBooks

USED = Usage(num_hit_tokens=0, num_miss_tokens=5, num_completion_tokens=5)
ANSWER = Answer(status=200, headers=(("content-type", "text/event-stream"),), body=b"data: 1\n\ndata: [DONE]\n\n")


async def run(books: Books, caller: Caller, claim: object, answer: Answer | None = ANSWER) -> None:
    """What a server does with a claim: the whole request."""
    assert isinstance(claim, Claim)
    reservation = await books.reserve(
        caller,
        request_id=claim.request_id,
        model="priced",
        num_prompt_tokens=5,
        max_completion_tokens=5,
        is_retry_safe=True,
    )
    await books.settle(reservation, USED, claim=claim, answer=answer)


async def ask(
    books: Books, caller: Caller, request_id: str, body: bytes = b"body", key: str = "key"
) -> Claim | Answer | Twin:
    return await books.claims.take(caller, idempotency_key=key, body=body, request_id=request_id)


async def wait(books: Books, caller: Caller, request_id: str) -> Answer:
    """What a server does with a repeat of a running request."""
    twin = await ask(books, caller, request_id)
    assert isinstance(twin, Twin)
    return await books.claims.answer_to(twin)


@pytest.fixture
async def rich(caller: Caller, registry: Registry) -> Caller:
    registry.top_up(caller.account_id, currency="USD", micros=1000)
    return caller


async def test_a_retry_gets_the_same_answer_and_is_charged_nothing(
    books: Books, rich: Caller, connect: Callable[[], Connection]
) -> None:
    claim = await ask(books, rich, "r1")
    assert isinstance(claim, Claim)
    await run(books, rich, claim)
    assert await ask(books, rich, "r2") == ANSWER
    assert connect().rows(statement("SELECT request_id, cost_micros FROM usage")) == [("r1", 10)]


async def test_the_same_key_with_another_body_is_a_conflict_while_it_runs_and_after(books: Books, rich: Caller) -> None:
    claim = await ask(books, rich, "r1")
    with pytest.raises(IdempotencyConflict):
        await ask(books, rich, "r2", body=b"other")
    await run(books, rich, claim)
    with pytest.raises(IdempotencyConflict):
        await ask(books, rich, "r3", body=b"other")


async def test_accounts_do_not_share_keys(books: Books, rich: Caller, registry: Registry) -> None:
    other = await books.authenticate(registry.create_key(registry.create_account("other").id).secret)
    assert isinstance(await ask(books, rich, "r1"), Claim)
    assert isinstance(await ask(books, other, "r2", body=b"other"), Claim)


async def test_twins_of_a_running_request_wait_and_get_its_answer(books: Books, rich: Caller) -> None:
    claim = await ask(books, rich, "r0")
    assert isinstance(claim, Claim)
    twins = [asyncio.create_task(wait(books, rich, f"r{number}")) for number in range(1, 10)]
    await asyncio.sleep(0.05)
    assert not any(twin.done() for twin in twins)
    await run(books, rich, claim)
    assert await asyncio.gather(*twins) == [ANSWER] * 9


async def test_when_the_first_fails_its_twins_are_asked_to_come_again_and_one_runs(books: Books, rich: Caller) -> None:
    claim = await ask(books, rich, "r0")
    assert isinstance(claim, Claim)
    twins = [asyncio.create_task(wait(books, rich, f"r{number}")) for number in range(1, 4)]
    await asyncio.sleep(0.05)
    await books.claims.abandon(claim)
    refused = await asyncio.gather(*twins, return_exceptions=True)
    assert [type(refusal) for refusal in refused] == [Overloaded] * 3
    assert "ended without an answer" in str(refused[0])
    assert [type(await ask(books, rich, f"r{number}")) for number in range(4, 6)] == [Claim, Twin]


@pytest.mark.fault("twin-waits-too-long")
async def test_a_twin_writes_nothing_while_it_waits(books: Books, rich: Caller) -> None:
    await ask(books, rich, "r0")
    twin = await ask(books, rich, "r1")
    assert isinstance(twin, Twin)
    num_written = books._writer.num_queued  # what nobody can see from outside: a transaction that changes nothing
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * POLL_S):
            await books.claims.answer_to(twin)
    assert books._writer.num_queued == num_written


async def test_a_settlement_without_an_answer_frees_the_key(books: Books, rich: Caller) -> None:
    await run(books, rich, await ask(books, rich, "r1"), answer=None)
    assert isinstance(await ask(books, rich, "r2", body=b"other"), Claim)


async def test_an_answer_is_forgotten_after_its_lifetime(books: Books, rich: Caller, clock: Clock) -> None:
    await run(books, rich, await ask(books, rich, "r1"))
    clock.now_s += 599.0
    assert await ask(books, rich, "r2") == ANSWER
    clock.now_s += 1.0
    assert isinstance(await ask(books, rich, "r3", body=b"other"), Claim)


async def test_an_answer_that_is_too_large_is_not_kept_and_not_computed_twice(
    make_books: OpenBooks, registry: Registry
) -> None:
    books = await make_books(idempotency_max_body=8)
    account = registry.create_account("a")
    registry.top_up(account.id, currency="USD", micros=1000)
    caller = await books.authenticate(registry.create_key(account.id).secret)
    await run(books, caller, await ask(books, caller, "r1"))
    with pytest.raises(IdempotencyConflict, match="too large"):
        await ask(books, caller, "r2")


async def test_the_claims_of_a_dead_server_are_free_and_its_answers_stay(
    make_books: OpenBooks, books: Books, rich: Caller
) -> None:
    await run(books, rich, await ask(books, rich, "r1", key="answered"))
    await ask(books, rich, "r2", key="running")
    await books.close()
    after = await make_books()
    assert await ask(after, rich, "r3", key="answered") == ANSWER
    assert isinstance(await ask(after, rich, "r4", key="running"), Claim)


async def test_a_cancelled_claim_frees_its_key(books: Books, rich: Caller) -> None:
    task = asyncio.create_task(ask(books, rich, "r1"))
    await asyncio.sleep(0)
    task.cancel()
    taken = await ask(books, rich, "r2")
    if isinstance(taken, Twin):  # the writer has just taken the claim, and gives it back next
        with pytest.raises(Overloaded):
            await books.claims.answer_to(taken)
        taken = await ask(books, rich, "r3")
    assert isinstance(taken, Claim)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b"])
async def test_a_key_that_cannot_be_stored_is_refused(books: Books, rich: Caller, key: str) -> None:
    with pytest.raises(InvalidParameter):
        await ask(books, rich, "r", key=key)


async def test_no_claim_is_given_while_the_database_is_away(
    make_books: OpenBooks, registry: Registry, connect: Callable[[], Connection]
) -> None:
    books = await make_books(busy_timeout_s=0.01, store_timeout_s=0.05)
    caller = await books.authenticate(registry.create_key(registry.create_account("a").id).secret)
    blocker = connect()
    blocker.begin()
    with pytest.raises(StoreError):
        await ask(books, caller, "r1")
    blocker.rollback()
    assert isinstance(await ask(books, caller, "r2"), Claim)
