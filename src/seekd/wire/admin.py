"""JSON of `/admin`, of the usage route and of the command line: accounts, keys, balances and what may be asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from seekd.accounts.instants import format_instant, parse_deadline
from seekd.accounts.registry import KeyOptions
from seekd.accounts.types import NO_LIMITS, AccountView, Balance, KeyView, Limits, format_exact, parse_amount
from seekd.errors import InvalidParameter, MalformedBody

T = TypeVar("T")

Positive = Annotated[int, msgspec.Meta(ge=1)]


class LimitsBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Limits as requests write them; what is left out is not limited."""

    max_concurrency: Positive | None = None
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None

    def as_limits(self) -> Limits:
        """As the books take them."""
        return Limits(
            max_concurrency=self.max_concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )


class NewAccountBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`POST /admin/accounts`."""

    name: str
    limits: LimitsBody | None = None


class AccountChanges(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`PATCH /admin/accounts/{id}`; what is left out stays."""

    name: str | None = None
    is_disabled: bool | None = None


class CreditBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`POST /admin/accounts/{id}/top-up`, `/take-back` (with a `reference`) and `/grant` (with `expires`)."""

    amount: str
    currency: Literal["USD", "CNY"]
    reference: str = ""
    expires: str | None = None

    def micros(self) -> int:
        """The amount in micro-units. Raises `InvalidParameter`."""
        return _checked(lambda: parse_amount(self.amount))


class NewKeyBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`POST /admin/keys`."""

    account_id: str
    name: str = ""
    expires: str | None = None
    limits: LimitsBody | None = None
    allowed_models: list[str] | None = None

    def options(self, *, now_ms: int) -> KeyOptions:
        """As the books take them. Raises `InvalidParameter` for a date that is none."""
        return KeyOptions(
            name=self.name,
            expires_at_ms=instant(self.expires, now_ms=now_ms),
            limits=NO_LIMITS if self.limits is None else self.limits.as_limits(),
            allowed_models=self.allowed_models,
        )


def instant(text: str | None, *, now_ms: int) -> int | None:
    """A date such as 2027-01-31 or a span such as 30d, in milliseconds since 1970. Raises `InvalidParameter`."""
    return None if text is None else _checked(lambda: parse_deadline(text, now_ms=now_ms))


def decode(body: bytes, kind: type[T]) -> T:
    """A body of an admin route. Raises `MalformedBody` with the place."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise MalformedBody(str(error), is_syntax=not isinstance(error, msgspec.ValidationError)) from error


def encode(value: object) -> bytes:
    """Any JSON value as a body."""
    return msgspec.json.encode(value)


def limits_json(limits: Limits) -> dict[str, int | None]:
    """Limits for scripts."""
    return {
        "max_concurrency": limits.max_concurrency,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
    }


def account_json(account: AccountView, balance: Balance | None = None) -> dict[str, Any]:  # Any: JSON
    """An account for scripts."""
    shown: dict[str, Any] = {
        "id": account.id,
        "name": account.name,
        "created_at": format_instant(account.created_at_ms),
        "disabled_at": format_instant(account.disabled_at_ms),
        "limits": limits_json(account.limits),
    }
    if balance is not None:
        shown["balances"] = balances_json(balance)
    return shown


def balances_json(balance: Balance) -> list[dict[str, str]]:
    """Balances for scripts: exact amounts as strings."""
    return [
        {
            "currency": entry.currency,
            "total_balance": format_exact(entry.total_micros),
            "granted_balance": format_exact(entry.granted_micros),
            "topped_up_balance": format_exact(entry.topped_up_micros),
            "held_balance": format_exact(entry.held_micros),
            "available_balance": format_exact(entry.available_micros),
        }
        for entry in balance.currencies
    ]


def key_json(key: KeyView) -> dict[str, Any]:  # Any: JSON
    """A key for scripts."""
    return {
        "id": key.id,
        "account_id": key.account_id,
        "name": key.name,
        "shown": f"{key.prefix}...{key.tail}",
        "created_at": format_instant(key.created_at_ms),
        "expires_at": format_instant(key.expires_at_ms),
        "revoked_at": format_instant(key.revoked_at_ms),
        "limits": limits_json(key.limits),
        "allowed_models": None if key.allowed_models is None else list(key.allowed_models),
    }


def _checked(read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        text = str(error)
        raise InvalidParameter(text[:1].upper() + text[1:] + ".") from error
