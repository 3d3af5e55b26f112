"""Recorded answers in Redis or Valkey.

Implements `answer_stores.AnswerStore`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable

from seekd.errors import ConfigError

_log = logging.getLogger(__name__)

_AWAY_S = 5.0
_TIMEOUT_S = 1.0


class RedisStore:
    """Values in Redis or Valkey, which several gateways share; it ends lifetimes and keeps its own budget.

    Args:
        url: `redis://…`, `rediss://…` or `valkey://…`.
        lifetime_s: of each value.
        clock: seconds, monotonic.

    Raises:
        ConfigError: the package is not installed, or the URL is none.
    """

    def __init__(self, url: str, *, lifetime_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            import redis.asyncio as redis
        except ImportError as error:
            raise ConfigError(
                "A response cache in Redis needs the redis package: pip install 'seekd[redis]'."
            ) from error
        from redis.exceptions import RedisError

        self._errors = (RedisError, OSError)
        url = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        try:
            self._client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        except ValueError as error:
            raise ConfigError(f"response_cache.redis_url is not valid: {error}") from error
        self._lifetime_ms = max(1, int(lifetime_s * 1000))
        self._clock = clock
        self._away_until_s = 0.0

    async def open(self) -> None:
        """A connection is made when it is needed."""

    async def get(self, name: str) -> bytes | None:
        """A value whose lifetime is not over."""
        if self._clock() < self._away_until_s:
            return None
        try:
            found = await self._client.get(_key(name))
        except self._errors as error:
            self._went_away(error)
            return None
        return found if isinstance(found, bytes) else None

    async def put(self, name: str, value: bytes) -> None:
        """Keep a value."""
        if self._clock() < self._away_until_s:
            return
        try:
            await self._client.set(_key(name), value, px=self._lifetime_ms)
        except self._errors as error:
            self._went_away(error)

    async def close(self) -> None:
        """End the connections."""
        with contextlib.suppress(*self._errors):
            await self._client.aclose()

    @property
    def num_bytes(self) -> dict[str, int]:
        """Redis counts its own."""
        return {}

    def _went_away(self, error: Exception) -> None:
        # Not asked for a while: each question would cost its request the timeout.
        self._away_until_s = self._clock() + _AWAY_S
        _log.warning("the response cache is away", extra={"action": "response_cache_away", "reason": str(error)})


def _key(name: str) -> str:
    return f"seekd:answer:{name}"
