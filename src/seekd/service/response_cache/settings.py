"""Settings of the response cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seekd.config import ByteSize, Secret

CacheUse = Literal["off", "asked", "on"]
"""Never, where the request asks for it, or always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseCacheSettings:
    """Whether exact repeats of a request are answered without the model, and where their answers are kept.

    Attributes:
        use: `off` never, `asked` for requests with `X-Seekd-Cache: on`, `on` for all but those with
            `X-Seekd-Cache: off`.
        models: `use` of single models, by the name that requests are served as.
        accounts: `use` of single accounts, by id; it goes before that of the model.
        repeats: `deterministic` keeps answers of requests with temperature 0 or a seed; `all` of every request, which
            then gets the same answer each time.
        price_share: part of the model's price that a cached answer costs, 0 to 1.
        replay: how a cached answer is streamed: `at_once` in a few large chunks, or in its `original` ones and rhythm.
        lifetime_s: how long an answer is kept.
        store: `memory` loses everything with the server, `directory` keeps it in the data directory as well, `redis`
            shares it among gateways.
        ram: most bytes in memory; not used with `redis`.
        disk: most bytes in the data directory.
        redis_url: `redis://…` or `valkey://…`; its own `maxmemory` is the budget there.
    """

    use: CacheUse = "asked"
    models: Mapping[str, CacheUse] = field(default_factory=dict)
    accounts: Mapping[str, CacheUse] = field(default_factory=dict)
    repeats: Literal["deterministic", "all"] = "deterministic"
    price_share: float = 0.0
    replay: Literal["at_once", "original"] = "at_once"
    lifetime_s: float = 3600.0
    store: Literal["memory", "directory", "redis"] = "memory"
    ram: ByteSize = ByteSize(64 * 1024**2)
    disk: ByteSize = ByteSize(1024**3)
    redis_url: Secret | None = None

    def __post_init__(self) -> None:
        """Check ranges; the message names the key."""
        if not 0 <= self.price_share <= 1:
            raise ValueError(f"response_cache.price_share = {self.price_share} is not a share; use 0 to 1.")
        if self.lifetime_s <= 0:
            raise ValueError("response_cache.lifetime_s must be more than 0 seconds.")
        if self.store == "redis" and not self.redis_url:
            raise ValueError('response_cache.store = "redis" needs a value for response_cache.redis_url.')
