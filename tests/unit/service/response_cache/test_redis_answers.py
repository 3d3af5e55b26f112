"""Without a Redis; `tests/integration/test_response_cache.py` has a real one."""

import pytest

from seekd.errors import ConfigError
from seekd.service.response_cache.redis_answers import RedisStore


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_redis_that_is_away_is_not_asked_again_for_a_while() -> None:
    pytest.importorskip("redis", reason="needs redis: pip install 'seekd[redis]'")
    clock = Clock()
    store = RedisStore("valkey://127.0.0.1:1/0", lifetime_s=10.0, clock=clock)
    assert await store.get("a") is None
    await store.put("a", b"value")
    clock.now_s += 6.0
    await store.put("a", b"value")
    assert await store.get("a") is None
    await store.close()
    with pytest.raises(ConfigError):
        RedisStore("http://127.0.0.1", lifetime_s=10.0)
