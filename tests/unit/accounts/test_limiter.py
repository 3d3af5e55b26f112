import pytest

from seekd.accounts.limiter import Limiter
from seekd.accounts.types import Caller, Limits
from seekd.errors import RateLimited
from tests.unit.accounts.conftest import settings

ONE = Limits(max_concurrency=1)


def caller(account_id: str = "a", key_id: str | None = "k", **limits: Limits) -> Caller:
    return Caller(account_id=account_id, key_id=key_id, key_prefix="sk-1234", name="", **limits)  # type: ignore[arg-type]


async def no_money(account_id: str) -> int:
    return 0


def make(**changes: object) -> Limiter:
    return Limiter(settings(**changes), total_micros=no_money)


async def admit(limiter: Limiter, who: Caller, num: int = 1, *, model: str = "m", num_prompt_tokens: int = 10):  # type: ignore[no-untyped-def]
    return [
        await limiter.admit(who, model=model, request_id=f"{id(who)}-{number}", num_prompt_tokens=num_prompt_tokens)
        for number in range(num)
    ]


async def test_without_limits_everything_passes_and_nothing_is_said() -> None:
    admissions = await admit(make(), caller(), 500)
    assert all(admission.headers == () for admission in admissions)


@pytest.mark.parametrize(
    ("changes", "first", "second", "is_refused"),
    [
        ({}, caller(key_limits=ONE), caller(key_limits=ONE), True),
        ({}, caller(key_limits=ONE), caller(key_id="other", key_limits=ONE), False),
        ({}, caller(account_limits=ONE), caller(key_id="other", account_limits=ONE), True),
        ({}, caller(account_limits=ONE), caller("b", account_limits=ONE), False),
        ({"key_limits": ONE}, caller(), caller(), True),
        ({"key_limits": ONE}, caller(), caller(key_id="other"), False),
        ({"account_limits": ONE}, caller(), caller(key_id="other"), True),
        ({"account_limits": ONE}, caller(key_id=None), caller(key_id=None), True),
        ({"model_limits": {"m": ONE}}, caller(), caller(key_id="other"), True),
        ({"model_limits": {"m": ONE}}, caller(), caller("b"), False),
        ({"model_limits": {"other": ONE}}, caller(), caller(), False),
        (
            {"key_limits": ONE},
            caller(key_limits=Limits(max_concurrency=9)),
            caller(key_limits=Limits(tokens_per_minute=99)),
            False,
        ),
    ],
)
async def test_each_limit_counts_in_its_own_scope(
    changes: dict[str, object], first: Caller, second: Caller, is_refused: bool
) -> None:
    limiter = make(**changes)
    await admit(limiter, first)
    if is_refused:
        with pytest.raises(RateLimited):
            await admit(limiter, second)
    else:
        await admit(limiter, second)


async def test_a_place_is_free_again_when_its_request_ends() -> None:
    limiter = make(key_limits=Limits(max_concurrency=2))
    first, _ = await admit(limiter, caller(), 2)
    with pytest.raises(RateLimited) as caught:
        await admit(limiter, caller())
    assert (caught.value.concurrency, caught.value.concurrency_limit) == (3, 2)
    assert not caught.value.is_balance_derived
    assert caught.value.retry_after_s == 1.0
    await limiter.finish(first, num_completion_tokens=0)
    await admit(limiter, caller())


async def test_requests_per_minute_say_what_is_left_and_when_to_come_back() -> None:
    limiter = make(key_limits=Limits(requests_per_minute=3))
    admissions = await admit(limiter, caller(), 3)
    left = [dict(admission.headers)["x-ratelimit-remaining-requests"] for admission in admissions]
    assert left == ["2", "1", "0"]
    with pytest.raises(RateLimited) as caught:
        await admit(limiter, caller())
    assert caught.value.retry_after_s is not None
    assert 1 <= caught.value.retry_after_s <= 120
    headers = dict(caught.value.headers)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("3", "0")
    assert headers["x-ratelimit-reset-requests"].endswith("s")


async def test_tokens_per_minute_count_prompts_at_once_and_completions_at_the_end() -> None:
    limiter = make(key_limits=Limits(tokens_per_minute=100))
    (first,) = await admit(limiter, caller(), num_prompt_tokens=40)
    assert dict(first.headers)["x-ratelimit-remaining-tokens"] == "60"
    with pytest.raises(RateLimited):
        await admit(limiter, caller(), num_prompt_tokens=61)
    (second,) = await admit(limiter, caller(), num_prompt_tokens=10)
    assert dict(second.headers)["x-ratelimit-remaining-tokens"] == "50"
    await limiter.finish(first, num_completion_tokens=500)
    with pytest.raises(RateLimited) as caught:
        await admit(limiter, caller(), num_prompt_tokens=1)
    assert dict(caught.value.headers)["x-ratelimit-remaining-tokens"] == "0"


async def test_a_prompt_above_the_whole_limit_is_refused_for_good_and_counts_nowhere() -> None:
    limiter = make(key_limits=Limits(tokens_per_minute=100))
    with pytest.raises(RateLimited, match="101 tokens, and 100 a minute are allowed") as caught:
        await admit(limiter, caller(), num_prompt_tokens=101)
    assert not caught.value.can_pass_later
    assert caught.value.retry_after_s is None
    (admission,) = await admit(limiter, caller(), num_prompt_tokens=100)
    assert dict(admission.headers)["x-ratelimit-remaining-tokens"] == "0"


async def test_a_refusal_for_concurrency_also_says_where_the_caller_stands_in_time() -> None:
    limiter = make(key_limits=Limits(max_concurrency=1, requests_per_minute=5))
    await admit(limiter, caller())
    with pytest.raises(RateLimited, match="the limit is 1 at once") as caught:
        await admit(limiter, caller())
    assert dict(caught.value.headers)["x-ratelimit-remaining-requests"] == "4"


async def test_headers_are_of_the_scope_with_the_least_left() -> None:
    limiter = make()
    who = caller(key_limits=Limits(requests_per_minute=100), account_limits=Limits(requests_per_minute=5))
    (admission,) = await admit(limiter, who)
    assert dict(admission.headers)["x-ratelimit-limit-requests"] == "5"


async def test_a_refused_request_counts_nowhere() -> None:
    limiter = make()
    who = caller(key_limits=Limits(requests_per_minute=5, max_concurrency=1))
    (admission,) = await admit(limiter, who)
    for _ in range(10):
        with pytest.raises(RateLimited):
            await admit(limiter, who)
    await limiter.finish(admission, num_completion_tokens=0)
    (admission,) = await admit(limiter, who)
    assert dict(admission.headers)["x-ratelimit-remaining-requests"] == "3"


async def test_concurrency_can_follow_the_balance() -> None:
    balance = {"a": 125_000}

    async def total_micros(account_id: str) -> int:
        return balance[account_id]

    limiter = Limiter(settings(balance_per_concurrency_micros=50_000), total_micros=total_micros)
    await admit(limiter, caller(), 2)
    with pytest.raises(RateLimited) as caught:
        await admit(limiter, caller())
    assert caught.value.is_balance_derived
    assert (caught.value.concurrency, caught.value.concurrency_limit) == (3, 2)
    balance["a"] = 150_000
    await admit(limiter, caller())
    balance["a"] = 0
    with pytest.raises(RateLimited):
        await admit(limiter, caller())


@pytest.mark.parametrize(
    ("limits", "num_prompt_tokens"),
    [
        (Limits(requests_per_minute=1), 10),
        (Limits(tokens_per_minute=10), 10),
        (ONE, 10),
    ],
)
async def test_a_check_refuses_what_would_be_refused_and_counts_nothing(limits: Limits, num_prompt_tokens: int) -> None:
    limiter, who = make(), caller(account_limits=limits)
    for _ in range(3):
        await limiter.check(who, model="m")
    (admission,) = await admit(limiter, who, num_prompt_tokens=num_prompt_tokens)
    with pytest.raises(RateLimited):
        await limiter.check(who, model="m")
    await limiter.check(caller("b", account_limits=limits), model="m")
    await limiter.finish(admission, num_completion_tokens=0)


async def test_a_request_whose_tokens_do_not_count_is_still_a_request() -> None:
    limiter = make()
    who = caller(account_limits=Limits(requests_per_minute=3, tokens_per_minute=10, max_concurrency=1))
    (admission,) = await admit(limiter, who, num_prompt_tokens=10)  # of this minute no token is left
    await limiter.finish(admission, num_completion_tokens=0)
    counting = await limiter.admit(who, model="m", request_id="c", num_prompt_tokens=None)
    assert dict(counting.headers) == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": dict(counting.headers)["x-ratelimit-reset-requests"],
    }
    with pytest.raises(RateLimited, match="1 at once"):
        await limiter.admit(who, model="m", request_id="d", num_prompt_tokens=None)
    await limiter.finish(counting, num_completion_tokens=0)
    await limiter.admit(who, model="m", request_id="e", num_prompt_tokens=None)
    with pytest.raises(RateLimited, match="3 requests a minute"):
        await limiter.admit(who, model="m", request_id="f", num_prompt_tokens=None)
