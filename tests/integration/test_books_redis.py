"""Limits counted in a real Redis or Valkey: several gateways share them."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from seekd.accounts.concurrency import ConcurrencyLimit, Full, RedisConcurrencyCounter
from seekd.accounts.limiter import Limiter
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import Caller, Limits
from seekd.config import Secret
from seekd.errors import RateLimited, StoreError
from tests.integration.services import free_port, redis_url  # noqa: F401 - a fixture

ACCOUNT, KEY = ConcurrencyLimit(name="account", limit=2), ConcurrencyLimit(name="key", limit=1)


async def no_money(account_id: str) -> int:
    return 0


def limiter_at(url: str) -> Limiter:
    return Limiter(AccountsSettings(limits_redis_url=Secret(url)), total_micros=no_money)


@pytest.fixture
async def gateways(redis_url: str) -> AsyncIterator[list[Limiter]]:  # noqa: F811
    limiters = [limiter_at(redis_url), limiter_at(redis_url)]
    yield limiters
    for limiter in limiters:
        await limiter.close()


async def test_gateways_share_every_limit(gateways: list[Limiter], request: pytest.FixtureRequest) -> None:
    limits = Limits(max_concurrency=3, requests_per_minute=4, tokens_per_minute=100)
    who = Caller(account_id="a", key_id=request.node.name, key_prefix="", name="", key_limits=limits)
    first, second = gateways
    admissions = [
        await gateway.admit(who, model="m", request_id=f"r{number}", num_prompt_tokens=10)
        for number, gateway in enumerate((first, second, first))
    ]
    left = [dict(admission.headers)["x-ratelimit-remaining-tokens"] for admission in admissions]
    assert left == ["90", "80", "70"]
    with pytest.raises(RateLimited) as caught:
        await second.admit(who, model="m", request_id="r3", num_prompt_tokens=10)
    assert (caught.value.concurrency, caught.value.concurrency_limit) == (4, 3)
    await first.finish(admissions[0], num_completion_tokens=10)
    await second.admit(who, model="m", request_id="r4", num_prompt_tokens=10)
    await first.finish(admissions[2], num_completion_tokens=0)
    with pytest.raises(RateLimited) as caught:
        await first.admit(who, model="m", request_id="r5", num_prompt_tokens=10)
    assert dict(caught.value.headers)["x-ratelimit-remaining-requests"] == "0"


async def test_a_place_is_taken_under_all_names_or_none_and_ends_with_its_lease(redis_url: str) -> None:  # noqa: F811
    dead, alive = RedisConcurrencyCounter(redis_url), RedisConcurrencyCounter(redis_url)
    assert await dead.enter("1", [ACCOUNT, KEY]) is None
    assert await alive.enter("2", [ACCOUNT, KEY]) == Full(limit=KEY, num_running=1)
    assert await alive.enter("3", [ACCOUNT]) is None
    assert await alive.enter("4", [ACCOUNT]) == Full(limit=ACCOUNT, num_running=2)
    await alive.leave("3", [ACCOUNT])
    async with redis.asyncio.Redis.from_url(redis_url) as client:  # the first gateway was killed more than a lease ago
        for limit in (ACCOUNT, KEY):
            await client.zadd(f"seekd:running:{limit.name}", {"1": time.time() - 1}, xx=True)
    assert await alive.enter("5", [ACCOUNT, KEY]) is None
    for counter in (dead, alive):
        await counter.close()


# Enters with a clock that is hours off, and dies: its place stays taken until its lease ends.
ODD_GATEWAY = """
import asyncio, os, sys, time
url, hours = sys.argv[1], int(sys.argv[2])
true_time = time.time
time.time = lambda: true_time() + hours * 3600
from tests.integration.test_books_redis import limited, limiter_at
asyncio.run(limiter_at(url).admit(limited(hours), model="m", request_id="odd", num_prompt_tokens=1))
os._exit(0)
"""


def limited(hours: int) -> Caller:
    limits = Limits(max_concurrency=1, requests_per_minute=9)
    return Caller(account_id="a", key_id=f"{hours} hours off", key_prefix="", name="", key_limits=limits)


@pytest.mark.fault("clocks-of-gateways-differ")
@pytest.mark.parametrize("hours", [-5, 5])
async def test_a_place_that_a_gateway_with_another_clock_took_is_taken(
    gateways: list[Limiter],
    redis_url: str,  # noqa: F811
    hours: int,
) -> None:
    command = [sys.executable, "-c", ODD_GATEWAY, redis_url, str(hours)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    with pytest.raises(RateLimited):
        await gateways[0].admit(limited(hours), model="m", request_id="right", num_prompt_tokens=1)


async def test_a_place_is_renewed_for_as_long_as_it_is_taken(redis_url: str) -> None:  # noqa: F811
    place = ConcurrencyLimit(name="renewed", limit=1)
    renewals = asyncio.Semaphore(0)

    async def until_told(_: float) -> None:
        await renewals.acquire()

    counter = RedisConcurrencyCounter(redis_url, lease_s=60.0, sleep=until_told)
    assert await counter.enter("1", [place]) is None
    async with redis.asyncio.Redis.from_url(redis_url) as client:

        async def ends_later_than(end_s: float) -> None:
            async with asyncio.timeout(30):
                while (await client.zscore("seekd:running:renewed", "1") or 0.0) <= end_s:
                    await asyncio.sleep(0.001)

        nearly_over_s = time.time() + 5.0
        await client.zadd("seekd:running:renewed", {"1": nearly_over_s}, xx=True)
        await client.expire("seekd:running:renewed", 5)
        renewals.release()
        await ends_later_than(nearly_over_s + 45.0)
        assert await client.ttl("seekd:running:renewed") > 60
        await counter.leave("1", [place])
        assert await client.zcard("seekd:running:renewed") == 0
    await counter.close()


@pytest.mark.fault("redis-away")
async def test_while_redis_is_away_nothing_is_let_in_uncounted() -> None:
    limiter = limiter_at(f"redis://127.0.0.1:{free_port()}")
    for limits in (Limits(max_concurrency=1), Limits(requests_per_minute=1), Limits(tokens_per_minute=1)):
        who = Caller(account_id="a", key_id="k", key_prefix="", name="", key_limits=limits)
        with pytest.raises(StoreError):
            await limiter.admit(who, model="m", request_id="r", num_prompt_tokens=1)
    free = Caller(account_id="a", key_id="k", key_prefix="", name="")
    await limiter.admit(free, model="m", request_id="r", num_prompt_tokens=1)
    await limiter.close()
