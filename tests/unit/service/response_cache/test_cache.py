"""Who may use the cache, and what twins wait for; `tests/integration/test_response_cache.py` has the rest."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from seekd.engine.types import EngineRequest, EngineUpdate, FinishReason, Sampling
from seekd.errors import Overloaded
from seekd.service.metrics import Metrics
from seekd.service.response_cache.answer_stores import MemoryStore
from seekd.service.response_cache.cache import CacheResult, CacheWish, ResponseCache, Ticket
from seekd.service.response_cache.settings import ResponseCacheSettings

GREEDY = Sampling(temperature=0.0)
NO_STORE = CacheWish(may_read=False, may_write=False)
NO_CACHE = CacheWish(may_read=False)


def cache(**settings: object) -> ResponseCache:
    chosen = ResponseCacheSettings(**{"use": "on", **settings})  # type: ignore[arg-type]
    store = MemoryStore(budget_bytes=10_000, lifetime_s=10.0)
    return ResponseCache(chosen, store, metrics=Metrics(engines={}))


def ticket(
    of: ResponseCache,
    *,
    wish: CacheWish | None = None,
    sampling: Sampling = GREEDY,
    deadline_s: float | None = None,
    keeps_cut: bool = True,
) -> Ticket | None:
    request = EngineRequest(
        request_id="r",
        prompt_token_ids=[1],
        max_tokens=5,
        sampling=sampling,
        fairness_key="account",
        deadline_s=deadline_s,
    )
    return of.ticket(
        request, wish=wish or CacheWish(), model="m", fingerprint="f", stops=(), protocol="p", keeps_cut=keeps_cut
    )


async def run(
    one: Ticket | None, *, seconds: float = 0.0, fails: bool = False, was_cut: bool = False
) -> tuple[CacheResult, int | None]:
    """What a request does with its turn: its result, and the token that it got."""
    assert one is not None
    async with one.turn() as turn:
        if turn.recording is not None:
            return one.result, turn.recording.steps[0].token_ids[0]
        await asyncio.sleep(seconds)
        if fails:
            raise ZeroDivisionError
        turn.note(EngineUpdate(request_id="r", token_ids=[7], finish_reason=FinishReason.STOP), now_s=0.0)
        turn.ended(was_cut=was_cut)
        return one.result, None


@pytest.fixture
async def on() -> AsyncIterator[ResponseCache]:
    opened = cache()
    await opened.start()
    yield opened
    assert not opened.flights
    await opened.close()


@pytest.mark.parametrize(
    ("settings", "is_on", "expected"),
    [
        ({"use": "off"}, None, None),
        ({"use": "off"}, True, CacheResult.BYPASS),
        ({"use": "asked"}, None, None),
        ({"use": "asked"}, True, CacheResult.MISS),
        ({"use": "on"}, None, CacheResult.MISS),
        ({"use": "on"}, False, None),
        ({"use": "off", "models": {"m": "on"}}, None, CacheResult.MISS),
        ({"use": "on", "models": {"m": "off"}}, None, None),
        ({"use": "off", "models": {"m": "off"}, "accounts": {"account": "on"}}, None, CacheResult.MISS),
        ({"use": "on", "accounts": {"account": "asked"}}, None, None),
    ],
)
def test_account_goes_before_model_before_server_and_requests_choose_within(
    settings: dict[str, object], is_on: bool | None, expected: CacheResult | None
) -> None:
    found = ticket(cache(**settings), wish=CacheWish(is_on=is_on))
    assert (found and found.result) == expected


@pytest.mark.parametrize(
    ("sampling", "is_repeatable"),
    [(GREEDY, True), (Sampling(seed=0), True), (Sampling(), False)],
)
def test_only_repeatable_requests_are_kept_unless_all_are(sampling: Sampling, is_repeatable: bool) -> None:
    found = ticket(cache(), sampling=sampling)
    assert found is not None
    assert found.result is (CacheResult.MISS if is_repeatable else CacheResult.BYPASS)
    every = ticket(cache(repeats="all"), sampling=sampling)
    assert every is not None
    assert every.result is CacheResult.MISS


async def test_a_repeat_is_a_hit_and_no_cache_and_no_store_are_not(on: ResponseCache) -> None:
    assert await run(ticket(on, wish=NO_STORE)) == (CacheResult.BYPASS, None)
    assert await run(ticket(on, keeps_cut=False), was_cut=True) == (CacheResult.MISS, None)
    assert await run(ticket(on, wish=NO_CACHE)) == (CacheResult.BYPASS, None)
    await asyncio.sleep(0)
    assert await run(ticket(on)) == (CacheResult.HIT, 7)
    assert await run(ticket(on, sampling=Sampling(seed=1))) == (CacheResult.MISS, None)


async def test_twins_wait_for_the_first_and_get_also_what_is_not_kept(on: ResponseCache) -> None:
    twins = [run(ticket(on, keeps_cut=False), seconds=0.01, was_cut=True) for _ in range(5)]
    assert await asyncio.gather(*twins) == [(CacheResult.MISS, None)] + [(CacheResult.HIT, 7)] * 4
    assert await run(ticket(on)) == (CacheResult.MISS, None)


async def test_when_the_first_fails_or_is_cancelled_the_next_one_runs(on: ResponseCache) -> None:
    failing = asyncio.create_task(run(ticket(on), seconds=0.01, fails=True))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(run(ticket(on), seconds=60))
    await asyncio.sleep(0)
    last = asyncio.create_task(run(ticket(on)))
    with pytest.raises(ZeroDivisionError):
        await failing
    await asyncio.sleep(0.01)
    assert not last.done()
    leaving.cancel()
    assert await last == (CacheResult.MISS, None)


async def test_a_twin_that_waits_too_long_is_refused(on: ResponseCache) -> None:
    first = asyncio.create_task(run(ticket(on), seconds=60))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await run(ticket(on, deadline_s=0.01))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
