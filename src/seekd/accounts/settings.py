"""Settings of the accounts room.

Imports no driver, so that reading settings stays cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from seekd.accounts.access import EVERY_ORIGIN, is_origin
from seekd.accounts.types import NO_LIMITS, Limits
from seekd.config import ByteSize, Secret

Currency = Literal["USD", "CNY"]
PriceAmount = str | int | float

CURRENCIES: tuple[Currency, ...] = ("USD", "CNY")  # the two that the balance route knows


class PriceSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One price of one model, as written in the configuration: `[[accounts.prices]]`.

    Attributes:
        model: the name that requests are served as.
        currency: "USD" or "CNY".
        hit, miss, output: decimal amounts per 1,000,000 tokens, such as "0.028" or 0.028.
        valid_from: ISO date or date-time in UTC from which it holds; None holds from the beginning.
        peak_hit, peak_miss, peak_output: the same during peak hours; None when they cost the same.
        peak_hours: when those are, in UTC, such as ["22:00-06:00"], every day; None means the hosted service's.
    """

    model: str
    currency: Currency
    hit: PriceAmount
    miss: PriceAmount
    output: PriceAmount
    valid_from: str | None = None
    peak_hit: PriceAmount | None = None
    peak_miss: PriceAmount | None = None
    peak_output: PriceAmount | None = None
    peak_hours: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountsSettings:
    """How the books are kept.

    Attributes:
        database_url: `postgresql://…`; None keeps them in `books.sqlite3` in the data directory.
        synchronous: what a commit survives on SQLite: "full" also a power cut, "normal" only the death of the
            process. "full" costs one disk flush a commit, which many requests share.
        busy_timeout_s: how long a transaction waits for another process that writes.
        store_timeout_s: after this long without an answer of the database a request is refused.
        official_prices: charge what the hosted service charges, by its dated price table.
        prices: own prices; they replace the official ones of the same model and currency. Once any price holds, names
            without one are refused; where one name alone of a model has a price, it is that of all its names.
        pricing: name of the extension that says what each request costs, given these prices; None for these alone.
        default_currency: of requests that are free, and of balances that are empty.
        currency_order: the balance that is tried first when a model has a price in both.
        hold_wait_s: how long a request waits when only what running requests hold stands in its way.
        progress_interval_s: how often the usage so far of a running request is written down, so that a recovery
            can charge it.
        lease_s: with several gateways on one database, a gateway that was silent for this long counts as dead.
        idempotency_lifetime_s: how long an answer is kept for a retry; 600 as clients retry within minutes.
        idempotency_max_body: answers above this size are not kept; a retry of one is refused as a conflict.
        account_limits: of every account that has none of its own.
        key_limits: of every key that has none of its own.
        model_limits: of a model for each account, all its keys together.
        limits_redis_url: counters of all gateways in Redis or Valkey; None counts in this process.
        balance_per_concurrency_micros: the rule that the hosted service seems to have: an account may run one
            request at once for each such amount of its balance. None turns it off.
        failed_auth_free: wrong keys that a peer may send before its next ones are slowed.
        failed_auth_delay_s: the longest delay of the answer to a wrong key.
        allowed_hosts: Host names that open requests may carry besides the loopback ones.
        allowed_origins: Origins of web pages, besides the server's own, that may send open requests and read answers:
            scheme, host and the port if it is not the default, such as "https://app.example" or "http://localhost:3000",
            which is "http://127.0.0.1:3000", too; "null" for pages opened as files; "*" for all, if keys are asked for.
        report_cost_header: send usage and cost of a request in response headers, or as comments behind a stream, which
            knows them at its end.
    """

    database_url: Secret | None = None
    synchronous: Literal["full", "normal"] = "full"
    busy_timeout_s: float = 5.0
    store_timeout_s: float = 10.0
    official_prices: bool = False
    prices: tuple[PriceSetting, ...] = ()
    pricing: str | None = None
    default_currency: Currency = "USD"
    currency_order: tuple[Currency, ...] = CURRENCIES
    hold_wait_s: float = 30.0
    progress_interval_s: float = 5.0
    lease_s: float = 120.0
    idempotency_lifetime_s: float = 600.0
    idempotency_max_body: ByteSize = ByteSize(8 * 1024 * 1024)
    account_limits: Limits = NO_LIMITS
    key_limits: Limits = NO_LIMITS
    model_limits: Mapping[str, Limits] = field(default_factory=dict)
    limits_redis_url: Secret | None = None
    balance_per_concurrency_micros: int | None = None
    failed_auth_free: int = 10
    failed_auth_delay_s: float = 2.0
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    report_cost_header: bool = False

    def __post_init__(self) -> None:
        """Check the origins; the message names the key."""
        for origin in self.allowed_origins:
            if origin != EVERY_ORIGIN and not is_origin(origin):
                raise ValueError(
                    f"accounts.allowed_origins: browsers name no page {origin!r}. Write scheme, host and the port if "
                    'it is not the default, in lower case and nothing behind it, such as "https://app.example" or '
                    '"http://localhost:3000"; or "null" for pages opened as files, or "*" for all pages.'
                )


def books_path(data_dir: Path) -> Path:
    """Where the books lie when no database URL is set."""
    return data_dir / "books.sqlite3"
