"""What crosses the border of the accounts room: who calls, what is held, what was used, what it cost.

Plain data only; every amount of money is an integer number of micro-units
(1,000,000 micros are one USD or one CNY), every instant is milliseconds since 1970 in UTC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

OPEN_ACCOUNT_ID = "open"  # the account of callers without a key, while access is open; migrations create it
MAX_MODEL_NAME_CHARS = 256  # the longest name of a file that a model may be called after has 255


def is_model_name(name: str) -> bool:
    """Whether a model's name may be stored, logged and shown."""
    return len(name) <= MAX_MODEL_NAME_CHARS and name.isprintable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one key, account or model may ask for; None is no limit.

    Attributes:
        max_concurrency: requests that run at the same time.
        requests_per_minute: requests admitted in a sliding window of 60 s.
        tokens_per_minute: prompt and completion tokens in a fixed window of 60 s.
    """

    max_concurrency: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing is limited."""
        return self.max_concurrency is None and self.requests_per_minute is None and self.tokens_per_minute is None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request.

    Attributes:
        account_id: who pays.
        key_id: what proved it; None while access is open and no key was needed.
        key_prefix: the first characters of the key, safe to log and to show; empty without a key.
        name: the name that the key was given; "open" without a key.
        key_limits: limits of the key.
        account_limits: limits of the account, over all its keys.
        allowed_models: models that the key may use; None allows all.
        is_open: True when no key was needed.
        expires_at_ms: when the key stops working; None never.
    """

    account_id: str
    key_id: str | None
    key_prefix: str
    name: str
    key_limits: Limits = NO_LIMITS
    account_limits: Limits = NO_LIMITS
    allowed_models: frozenset[str] | None = None
    is_open: bool = False
    expires_at_ms: int | None = None

    def may_use(self, model: str) -> bool:
        """Whether the key allows the model."""
        return self.allowed_models is None or model in self.allowed_models


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What tokens cost, in micro-units per 1,000,000 tokens.

    Attributes:
        hit_micros: prompt tokens that a cache held.
        miss_micros: prompt tokens that were computed.
        output_micros: completion tokens, reasoning included.
    """

    hit_micros: int
    miss_micros: int
    output_micros: int

    @property
    def is_free(self) -> bool:
        """Whether no token costs anything."""
        return not (self.hit_micros or self.miss_micros or self.output_micros)

    def part(self, share: float) -> Price:
        """A part of the price, each amount rounded up."""
        return Price(
            hit_micros=math.ceil(self.hit_micros * share),
            miss_micros=math.ceil(self.miss_micros * share),
            output_micros=math.ceil(self.output_micros * share),
        )

    def cost_micros(self, *, num_hit_tokens: int, num_miss_tokens: int, num_completion_tokens: int) -> int:
        """The cost of one request, rounded up to a whole micro-unit once, so that it never grows by being split."""
        total = (
            num_hit_tokens * self.hit_micros
            + num_miss_tokens * self.miss_micros
            + num_completion_tokens * self.output_micros
        )
        return -(-total // 1_000_000)

    def worst_case_micros(self, *, num_prompt_tokens: int, max_completion_tokens: int) -> int:
        """The most that a request of this size can cost: nothing cached, every completion token used."""
        highest_prompt_micros = max(self.hit_micros, self.miss_micros)
        total = num_prompt_tokens * highest_prompt_micros + max_completion_tokens * self.output_micros
        return -(-total // 1_000_000)


FREE = Price(hit_micros=0, miss_micros=0, output_micros=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """The worst case of one running request, held until `Books.settle` or `Books.release`.

    Attributes:
        request_id: names the request in every book.
        currency: what it is paid in; the default currency when it is free.
        held_micros: what is held; 0 when it is free.
        price: the price at the time of the reservation, which the settlement uses. The hold of a free request is
            written only with its first note.
        is_retry_safe: the request carries an idempotency key, so that a recovery never charges a part of it.
        reserved_at_ms: when.
    """

    request_id: str
    account_id: str
    key_id: str | None
    model: str
    currency: str
    held_micros: int
    price: Price
    is_retry_safe: bool
    reserved_at_ms: int


class Outcome(StrEnum):
    """How a request ended, as the books, the metrics and the log name it."""

    STOP = "stop"  # the model's own end, or a stop string
    LENGTH = "length"
    CACHED = "cached"  # whole, from the response cache
    DISCONNECT = "disconnect"  # its client left
    REFUSED = "refused"  # the moderation refused the answer
    CANCELLED = "cancelled"  # an operator ended it
    DEADLINE = "deadline"
    ERROR = "error"
    SHUTDOWN = "shutdown"
    INTERRUPTED = "interrupted"  # another task of the server ended it
    RECOVERED = "recovered"  # its server died; a later one settled it
    RUNNING = "running"  # only in notes of progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request truly used, however it ended.

    Attributes:
        num_hit_tokens: prompt tokens that a cache held.
        num_miss_tokens: prompt tokens that were computed.
        num_completion_tokens: tokens that were generated and sent, reasoning included.
        num_reasoning_tokens: those of them that were reasoning.
        outcome: how it ended.
        is_error: counts as an error in the reports.
        first_token_ms: from arrival to the first token; None when there was none.
        latency_ms: from arrival to the end.
    """

    num_hit_tokens: int
    num_miss_tokens: int
    num_completion_tokens: int
    num_reasoning_tokens: int = 0
    outcome: Outcome = Outcome.STOP
    is_error: bool = False
    first_token_ms: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a request cost.

    Attributes:
        cost_micros: taken from the account, granted and topped-up together.
        granted_micros: the part that granted balance paid.
        topped_up_micros: the part that topped-up balance paid.
        uncollected_micros: what the usage cost beyond what was held and left; 0 unless more was used than reserved.
        is_recovered: a recovery charged it, so that the server of the request may still charge the rest.
    """

    request_id: str
    currency: str
    cost_micros: int
    granted_micros: int = 0
    topped_up_micros: int = 0
    uncollected_micros: int = 0
    is_recovered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyBalance:
    """What an account has in one currency.

    Attributes:
        granted_micros: given, unexpired; spent first.
        topped_up_micros: paid in.
        held_micros: the part of both that running requests hold.
    """

    currency: str
    granted_micros: int
    topped_up_micros: int
    held_micros: int

    @property
    def total_micros(self) -> int:
        """Granted and topped-up balance, held or not."""
        return self.granted_micros + self.topped_up_micros

    @property
    def available_micros(self) -> int:
        """What a new request may hold."""
        return self.total_micros - self.held_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What an account has.

    Attributes:
        is_available: whether a request could be paid now: some balance is left, or everything is free.
        currencies: one entry a currency, at least one.
    """

    account_id: str
    is_available: bool
    currencies: tuple[CurrencyBalance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer, kept to be sent again.

    Attributes:
        status: HTTP status.
        headers: names and values to repeat.
        body: every byte that was sent; of a stream all frames, joined.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to answer the requests of one idempotency key.

    It ends with the settlement that carries the answer, or with `abandon`.
    """

    account_id: str
    idempotency_key: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A request that another one with the same idempotency key and body answers too; all that is kept of it.

    Attributes:
        body_hash: of what must be equal.
    """

    account_id: str
    idempotency_key: str
    body_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """An account as shown to people and scripts.

    Attributes:
        disabled_at_ms: None while its keys work.
    """

    id: str
    name: str
    created_at_ms: int
    limits: Limits = NO_LIMITS
    disabled_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyView:
    """A key as shown to people and scripts; the key itself is not stored.

    Attributes:
        prefix: the first characters of the key.
        tail: its last four characters.
        revoked_at_ms: None while it works.
    """

    id: str
    account_id: str
    name: str
    prefix: str
    tail: str
    created_at_ms: int
    expires_at_ms: int | None = None
    revoked_at_ms: int | None = None
    limits: Limits = NO_LIMITS
    allowed_models: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key at the only time it is shown.

    Attributes:
        secret: the key itself. Never log it.
    """

    view: KeyView
    secret: str = field(repr=False)


def format_exact(micros: int) -> str:
    """An amount to the last micro-unit, with at least two decimals."""
    sign, units = ("-", -micros) if micros < 0 else ("", micros)
    decimals = f"{units % 1_000_000:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{units // 1_000_000}.{decimals}"


def parse_amount(text: str) -> int:
    """An amount such as "1.50" in micro-units.

    Raises:
        ValueError: not a positive decimal number with at most six decimals.
    """
    whole, _, decimals = text.strip().partition(".")
    is_plain = (whole + decimals).isascii() and (whole + decimals).isdecimal() and len(whole) <= 12
    if not is_plain or len(decimals) > 6:
        raise ValueError(f"not an amount: {text!r} (write it as 1.50, at most six decimals)")
    micros = int(whole or "0") * 1_000_000 + int(decimals.ljust(6, "0") or "0")
    if micros <= 0:
        raise ValueError(f"not an amount: {text!r} (must be more than 0)")
    return micros
