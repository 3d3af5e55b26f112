"""What a request's headers say of the response cache.

    X-Seekd-Cache: on | off     use it for this request, or not
    Cache-Control: no-cache     answer anew, and keep that answer
    Cache-Control: no-store     answer anew, and keep nothing

Source: RFC 9111 §5.2.1.4 and §5.2.1.5 for the directives.
"""

from __future__ import annotations

from collections.abc import Mapping

from seekd.errors import InvalidParameter
from seekd.service.response_cache.cache import CacheWish

CACHE_HEADER = "x-seekd-cache"
_WORDS = {None: None, "on": True, "off": False}


def cache_wish(headers: Mapping[str, str]) -> CacheWish:
    """What the headers say. Raises `InvalidParameter` for a word that means nothing."""
    word = headers.get(CACHE_HEADER)
    if word not in _WORDS:
        raise InvalidParameter(f"X-Seekd-Cache must be on or off, not {word!r}.")
    directives = {part.strip().lower() for part in headers.get("cache-control", "").split(",")}
    stores = "no-store" not in directives
    return CacheWish(is_on=_WORDS[word], may_read=stores and "no-cache" not in directives, may_write=stores)
