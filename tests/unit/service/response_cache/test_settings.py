import pytest

from seekd.config import Secret
from seekd.service.response_cache.settings import ResponseCacheSettings


def test_by_default_only_requests_that_ask_are_cached_in_memory_and_for_free() -> None:
    settings = ResponseCacheSettings()
    assert (settings.use, settings.store, settings.price_share) == ("asked", "memory", 0.0)


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"price_share": 1.5}, "price_share"), ({"lifetime_s": 0.0}, "lifetime_s"), ({"store": "redis"}, "redis_url")],
)
def test_a_bad_value_names_its_key(changes: dict[str, object], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        ResponseCacheSettings(**changes)  # type: ignore[arg-type]
    ResponseCacheSettings(store="redis", redis_url=Secret("redis://localhost"))
