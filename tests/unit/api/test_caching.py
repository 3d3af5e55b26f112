import pytest

from seekd.api.caching import cache_wish
from seekd.errors import InvalidParameter
from seekd.service.response_cache.cache import NO_WISH, CacheWish


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, NO_WISH),
        ({"x-seekd-cache": "on"}, CacheWish(is_on=True)),
        ({"x-seekd-cache": "off"}, CacheWish(is_on=False)),
        ({"cache-control": "No-Cache"}, CacheWish(may_read=False)),
        ({"cache-control": "max-age=0, no-store"}, CacheWish(may_read=False, may_write=False)),
        ({"cache-control": "max-age=0"}, NO_WISH),
    ],
)
def test_headers_say_whether_to_read_and_to_keep(headers: dict[str, str], wish: CacheWish) -> None:
    assert cache_wish(headers) == wish


def test_another_word_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="on or off"):
        cache_wish({"x-seekd-cache": "hit"})
