"""How many requests run at once, by name: in this process or in Redis.

`limits` counts requests in time and has nothing that goes down again, so these two
are our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from seekd.errors import ConfigError, StoreError

logger = logging.getLogger(__name__)

_LEASE_S = 60.0  # a gateway that was killed keeps its places for this long
_PREFIX = "seekd:running:"

# Redis says what time it is: the clocks of gateways differ.
_NOW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
"""

# KEYS: the names. ARGV: seconds of the lease, request id, then one limit a name. Takes a place under all or none.
# Answers 0, or the number of the name that is full and how many run there.
_ENTER = (
    _NOW
    + """
for i, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  local running = redis.call('ZCARD', key)
  if running >= tonumber(ARGV[2 + i]) then return {i, running} end
end
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, now + ARGV[1], ARGV[2])
  redis.call('EXPIRE', key, math.ceil(ARGV[1]) + 1)
end
return {0, 0}
"""
)

# KEYS: the names. ARGV: seconds of the lease, request id. A place that is gone is not taken again.
_RENEW = (
    _NOW
    + """
for _, key in ipairs(KEYS) do
  redis.call('ZADD', key, 'XX', now + ARGV[1], ARGV[2])
  redis.call('EXPIRE', key, math.ceil(ARGV[1]) + 1)
end
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcurrencyLimit:
    """How many may run under one name."""

    name: str
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """A limit that let nobody in."""

    limit: ConcurrencyLimit
    num_running: int


class ConcurrencyCounter(Protocol):
    """Counts running requests."""

    async def enter(self, request_id: str, limits: Sequence[ConcurrencyLimit]) -> Full | None:
        """Take a place under every name, or under none: then the first that is full. Raises `StoreError`."""

    async def leave(self, request_id: str, limits: Sequence[ConcurrencyLimit]) -> None:
        """Give the places back. Never raises."""

    async def close(self) -> None:
        """Give back what the counter itself uses."""


class LocalConcurrencyCounter:
    """Counts in this process."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()

    async def enter(self, request_id: str, limits: Sequence[ConcurrencyLimit]) -> Full | None:  # noqa: ARG002 - see ConcurrencyCounter
        """See `ConcurrencyCounter`."""
        for limit in limits:
            if self._running[limit.name] >= limit.limit:
                return Full(limit=limit, num_running=self._running[limit.name])
        for limit in limits:
            self._running[limit.name] += 1
        return None

    async def leave(self, request_id: str, limits: Sequence[ConcurrencyLimit]) -> None:  # noqa: ARG002 - see ConcurrencyCounter
        """See `ConcurrencyCounter`."""
        for limit in limits:
            self._running[limit.name] -= 1
            if self._running[limit.name] <= 0:
                del self._running[limit.name]

    async def close(self) -> None:
        """See `ConcurrencyCounter`."""


class RedisConcurrencyCounter:
    """Counts in Redis or Valkey, for all gateways. Places are leases that a living gateway renews.

    Args:
        url: `redis://…`, `rediss://…` or `valkey://…`.
        lease_s: how long a place is kept whose gateway is silent.
        sleep: waits between two renewals.
    """

    def __init__(
        self, url: str, *, lease_s: float = _LEASE_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        try:
            import redis.asyncio as redis
        except ImportError as error:
            raise ConfigError("Limits in Redis need the redis package: pip install 'seekd[redis]'.") from error
        from redis.exceptions import RedisError

        self._error = RedisError
        url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self.connection_pool = redis.ConnectionPool.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._client = redis.Redis(connection_pool=self.connection_pool)
        self._enter = self._client.register_script(_ENTER)
        self._renew = self._client.register_script(_RENEW)
        self._lease_s = lease_s
        self._sleep = sleep
        self._places: dict[str, Sequence[ConcurrencyLimit]] = {}
        self._renewal: asyncio.Task[None] | None = None

    async def enter(self, request_id: str, limits: Sequence[ConcurrencyLimit]) -> Full | None:
        """See `ConcurrencyCounter`."""
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._keep_places())
        try:
            index, num_running = await self._enter(
                keys=_keys(limits),
                args=[self._lease_s, request_id, *(limit.limit for limit in limits)],
            )
        except self._error as error:
            raise StoreError from error
        if index:
            return Full(limit=limits[index - 1], num_running=num_running)
        self._places[request_id] = limits
        return None

    async def leave(self, request_id: str, limits: Sequence[ConcurrencyLimit]) -> None:
        """See `ConcurrencyCounter`. A place that Redis cannot take back now ends with its lease."""
        self._places.pop(request_id, None)
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for limit in limits:
                    pipeline.zrem(_PREFIX + limit.name, request_id)
                await pipeline.execute()
        except self._error as error:
            logger.warning("a place could not be given back", extra={"action": "limits", "reason": str(error)})

    async def close(self) -> None:
        """See `ConcurrencyCounter`."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        await self.connection_pool.disconnect()

    async def _keep_places(self) -> None:
        while True:
            await self._sleep(self._lease_s / 3)
            try:
                async with self._client.pipeline(transaction=False) as pipeline:
                    for request_id, limits in list(self._places.items()):
                        await self._renew(keys=_keys(limits), args=[self._lease_s, request_id], client=pipeline)
                    await pipeline.execute()
            except self._error as error:
                logger.warning("places could not be renewed", extra={"action": "limits", "reason": str(error)})


def _keys(limits: Sequence[ConcurrencyLimit]) -> list[str]:
    return [_PREFIX + limit.name for limit in limits]
