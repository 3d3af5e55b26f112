"""Limits: how many requests and tokens a key, an account and a model may have.

The counting in time is the `limits` library's, in memory or in Redis; it is imported when the first limit is met, since
most servers have none.

| limit | window | counts |
|---|---|---|
| requests per minute | sliding, 60 s | at admission |
| tokens per minute | fixed, 60 s from the first token | the prompt at admission, the completion when it is known |
| concurrency | none | from admission to `finish` |

A request that only counts tokens counts as a request and against concurrency, and its tokens do not count.

A window that a completion has overrun lets nobody in until it ends; so no limit has to guess how long an answer will
be. A prompt above the whole limit is refused for good, as the service that the limit comes from does: it would fit no
window. A refused request counts nowhere.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from seekd.accounts.concurrency import (
    ConcurrencyCounter,
    ConcurrencyLimit,
    Full,
    LocalConcurrencyCounter,
    RedisConcurrencyCounter,
)
from seekd.accounts.settings import AccountsSettings
from seekd.accounts.types import NO_LIMITS, Caller, Limits
from seekd.errors import RateLimited, StoreError

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.aio.strategies import RateLimiter

Kind = Literal["requests", "tokens"]

T = TypeVar("T")

_BUSY_RETRY_S = 1.0  # when a running request ends is not known; a second later is worth a try


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """One limit in time of one scope."""

    kind: Kind
    scope: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A request that was let in; ends with `Limiter.finish`.

    Attributes:
        headers: `x-ratelimit-...` names and values; empty when no limit in time applies.
    """

    request_id: str
    headers: tuple[tuple[str, str], ...]
    places: tuple[ConcurrencyLimit, ...]
    windows: tuple[_Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """Where a scope stands in one window."""

    window: _Window
    remaining: int
    reset_s: float


class Limiter:
    """Admits requests. Used on one event loop; several gateways share one Redis."""

    def __init__(
        self,
        settings: AccountsSettings,
        *,
        total_micros: Callable[[str], Awaitable[int]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Connect to nothing yet.

        Args:
            settings: of this room.
            total_micros: the balance of an account, for the concurrency limit that follows from it.
            clock: seconds since 1970.

        Raises:
            ConfigError: limits are to be counted in Redis, and its package is not installed.
        """
        self._settings = settings
        self._limits_everybody = not (
            settings.account_limits.is_unlimited
            and settings.key_limits.is_unlimited
            and not settings.model_limits
            and not settings.balance_per_concurrency_micros
        )
        self._total_micros = total_micros
        self._clock = clock
        url = settings.limits_redis_url
        self._running: ConcurrencyCounter = LocalConcurrencyCounter() if not url else RedisConcurrencyCounter(url)
        self._strategies: dict[Kind, RateLimiter] | None = None
        self._loading = asyncio.Lock()

    async def check(self, caller: Caller, *, model: str) -> None:
        """Refuse a request that `admit` would refuse now, however short its prompt is; nothing is counted.

        Raises:
            RateLimited: a limit is reached.
            StoreError: Redis is away.
        """
        places, windows, derived = await self._limits_of(caller, model)
        await self._check(windows, dict.fromkeys(windows, 1))
        if places:
            probe = uuid.uuid4().hex
            await self._enter(probe, places, windows, derived)
            await asyncio.shield(self._running.leave(probe, places))

    async def admit(self, caller: Caller, *, model: str, request_id: str, num_prompt_tokens: int | None) -> Admission:
        """Let a request in; `finish` must follow, whatever becomes of it.

        Args:
            caller: who asks.
            model: the name that the request uses.
            request_id: unique for ever.
            num_prompt_tokens: None for a request whose tokens do not count.

        Raises:
            RateLimited: a limit is reached.
            StoreError: Redis is away. Nothing is let in uncounted.
        """
        if not self._limits_everybody and caller.account_limits.is_unlimited and caller.key_limits.is_unlimited:
            return Admission(request_id=request_id, headers=(), places=(), windows=())
        places, windows, derived = await self._limits_of(caller, model)
        if num_prompt_tokens is None:
            windows = tuple(window for window in windows if window.kind != "tokens")
        if not places and not windows:
            return Admission(request_id=request_id, headers=(), places=(), windows=())
        costs = {window: 1 if window.kind == "requests" else num_prompt_tokens or 0 for window in windows}
        await self._check(windows, costs)
        await self._enter(request_id, places, windows, derived)
        try:
            for window in windows:
                if not await self._count(window, costs[window]):
                    raise await self._refusal(window, windows)
            headers = await self._headers(windows)
        except BaseException:
            await self._running.leave(request_id, places)
            raise
        return Admission(request_id=request_id, headers=headers, places=places, windows=windows)

    async def finish(self, admission: Admission, *, num_completion_tokens: int) -> None:
        """The request has ended. Never raises."""
        if admission.places:
            await self._running.leave(admission.request_id, admission.places)
        for window in admission.windows:
            if window.kind == "tokens" and num_completion_tokens:
                try:
                    await self._count(window, num_completion_tokens)
                except StoreError:
                    return  # what cannot be counted now is over before the window is

    async def close(self) -> None:
        """Give connections back."""
        await self._running.close()

    async def _limits_of(
        self, caller: Caller, model: str
    ) -> tuple[tuple[ConcurrencyLimit, ...], tuple[_Window, ...], ConcurrencyLimit | None]:
        settings = self._settings
        scopes = [(f"account:{caller.account_id}", _own_or(caller.account_limits, settings.account_limits))]
        if caller.key_id is not None:
            scopes.append((f"key:{caller.key_id}", _own_or(caller.key_limits, settings.key_limits)))
        if model in settings.model_limits:
            scopes.append((f"model:{caller.account_id}:{model}", settings.model_limits[model]))
        places = [
            ConcurrencyLimit(name=name, limit=limits.max_concurrency)
            for name, limits in scopes
            if limits.max_concurrency is not None
        ]
        derived = None
        if settings.balance_per_concurrency_micros:
            total = await self._total_micros(caller.account_id)
            derived = ConcurrencyLimit(
                name=f"balance:{caller.account_id}", limit=max(1, total // settings.balance_per_concurrency_micros)
            )
            places.append(derived)
        windows = [
            _Window(kind=kind, scope=name, limit=limit)
            for name, limits in scopes
            for kind, limit in _in_time(limits)
            if limit is not None
        ]
        return tuple(places), tuple(windows), derived

    async def _check(self, windows: tuple[_Window, ...], costs: dict[_Window, int]) -> None:
        for window in windows:
            if costs[window] > window.limit:
                raise RateLimited(
                    f"the prompt has {costs[window]} tokens, and {window.limit} a minute are allowed, so that it can "
                    "never pass. Shorten it, or have the limit raised.",
                    window=window.kind,
                    can_pass_later=False,
                    headers=await self._headers(windows),
                )
            strategy, item = await self._counter(window)
            if not await _stored(strategy.test(item, window.scope, cost=costs[window])):
                raise await self._refusal(window, windows)

    async def _enter(
        self,
        request_id: str,
        places: tuple[ConcurrencyLimit, ...],
        windows: tuple[_Window, ...],
        derived: ConcurrencyLimit | None,
    ) -> None:
        full = await self._running.enter(request_id, places) if places else None
        if full is not None:
            raise _busy(full, is_balance_derived=full.limit is derived, headers=await self._headers(windows))

    async def _count(self, window: _Window, cost: int) -> bool:
        """Count it; False when another request was faster."""
        strategy, item = await self._counter(window)
        is_within: bool = await _stored(strategy.hit(item, window.scope, cost=cost))
        return is_within or window.kind == "tokens"  # a fixed window counts also beyond its limit

    async def _refusal(self, window: _Window, windows: tuple[_Window, ...]) -> RateLimited:
        standing = await self._standing(window)
        return RateLimited(
            f"the limit is {window.limit} {window.kind} a minute.",
            retry_after_s=max(1.0, standing.reset_s),
            window=window.kind,
            headers=await self._headers(windows),
        )

    async def _standing(self, window: _Window) -> _Standing:
        strategy, item = await self._counter(window)
        stats = await _stored(strategy.get_window_stats(item, window.scope))
        return _Standing(
            window=window, remaining=max(0, stats.remaining), reset_s=max(0.0, stats.reset_time - self._clock())
        )

    async def _headers(self, windows: tuple[_Window, ...]) -> tuple[tuple[str, str], ...]:
        """Of each kind the window with the least left."""
        headers: list[tuple[str, str]] = []
        for kind in ("requests", "tokens"):
            standings = [await self._standing(window) for window in windows if window.kind == kind]
            if standings:
                tightest = min(standings, key=lambda standing: standing.remaining)
                headers += [
                    (f"x-ratelimit-limit-{kind}", str(tightest.window.limit)),
                    (f"x-ratelimit-remaining-{kind}", str(tightest.remaining)),
                    (f"x-ratelimit-reset-{kind}", f"{math.ceil(tightest.reset_s)}s"),
                ]
        return tuple(headers)

    async def _counter(self, window: _Window) -> tuple[RateLimiter, RateLimitItem]:
        strategies = self._strategies or await self._load_once()
        from limits import RateLimitItemPerMinute

        return strategies[window.kind], RateLimitItemPerMinute(window.limit, namespace=f"seekd:{window.kind}")

    async def _load_once(self) -> dict[Kind, RateLimiter]:
        async with self._loading:
            strategies = self._strategies
            if strategies is None:
                strategies = self._strategies = await asyncio.to_thread(self._load)
            return strategies

    def _load(self) -> dict[Kind, RateLimiter]:
        from limits.aio.storage import MemoryStorage, RedisStorage
        from limits.aio.strategies import FixedWindowRateLimiter, SlidingWindowCounterRateLimiter

        storage: RedisStorage | MemoryStorage
        if isinstance(self._running, RedisConcurrencyCounter):
            # The library has no way to close its connections, so they are the counter's.
            # Any: the library's types leave this documented option out
            pool = cast("Any", self._running.connection_pool)
            storage = RedisStorage(
                "async+redis://", wrap_exceptions=True, implementation="redispy", connection_pool=pool
            )
        else:
            storage = MemoryStorage(wrap_exceptions=True)
        return {"requests": SlidingWindowCounterRateLimiter(storage), "tokens": FixedWindowRateLimiter(storage)}


async def _stored(answer: Awaitable[T]) -> T:
    from limits.errors import StorageError

    try:
        return await answer
    except StorageError as error:
        raise StoreError from error


def _own_or(own: Limits, default: Limits) -> Limits:
    return default if own == NO_LIMITS else own


def _in_time(limits: Limits) -> tuple[tuple[Kind, int | None], ...]:
    return ("requests", limits.requests_per_minute), ("tokens", limits.tokens_per_minute)


def _busy(full: Full, *, is_balance_derived: bool, headers: tuple[tuple[str, str], ...]) -> RateLimited:
    reason = ", as the balance allows" if is_balance_derived else ""
    return RateLimited(
        f"the limit is {full.limit.limit} at once{reason}.",
        retry_after_s=_BUSY_RETRY_S,
        concurrency=full.num_running + 1,
        concurrency_limit=full.limit.limit,
        is_balance_derived=is_balance_derived,
        headers=headers,
    )
