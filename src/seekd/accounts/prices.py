"""What a model costs at a moment: official history, own prices, free by default.

A price holds from its date until the next one of the same model and currency. Within it a schedule (peak hours, a
night discount) may name other prices. A request pays the price of the moment at which it is reserved.

Once any price holds, a name without one is refused and not free: a name that was forgotten must not be the way around
those that were not. Where one name alone of a model has prices, they are those of all its names.
"""

from __future__ import annotations

import bisect
import math
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import resources
from typing import Any, Protocol

from seekd.accounts.instants import parse_instant
from seekd.accounts.settings import AccountsSettings, PriceAmount, PriceSetting
from seekd.accounts.types import Price
from seekd.errors import ConfigError

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)")
_MINUTES_A_DAY = 24 * 60
PEAK = "peak"  # the schedule of `peak_` prices in the configuration


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Hours of the day.

    Attributes:
        windows: half-open minute ranges of the UTC day.
        weekdays: ISO weekdays on which they apply.
        utc_offset: of the place whose weekdays and holidays count.
        holidays: first and last days of times when they do not apply.
    """

    windows: tuple[tuple[int, int], ...]
    weekdays: frozenset[int] = frozenset(range(1, 8))
    utc_offset: timedelta = timedelta()
    holidays: tuple[tuple[date, date], ...] = ()

    def contains(self, moment: datetime) -> bool:
        """Whether a UTC moment lies in these hours."""
        minute = moment.hour * 60 + moment.minute
        if not any(start <= minute < end for start, end in self.windows):
            return False
        day = (moment + self.utc_offset).date()
        return day.isoweekday() in self.weekdays and not any(first <= day <= last for first, last in self.holidays)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRule:
    """One price of one model in one currency.

    Attributes:
        from_ms: the moment from which it holds.
        schedule: hours with another price; None when there are none.
        scheduled: the price in those hours.
    """

    model: str
    currency: str
    from_ms: int
    price: Price
    schedule: Schedule | None = None
    scheduled: Price | None = None

    def at(self, moment: datetime) -> Price:
        """The price at a moment when the rule holds."""
        if self.schedule is not None and self.scheduled is not None and self.schedule.contains(moment):
            return self.scheduled
        return self.price


class PriceTable:
    """All prices. Immutable."""

    def __init__(self, rules: Iterable[PriceRule]) -> None:
        self._rules: dict[str, dict[str, list[PriceRule]]] = {}
        for rule in sorted(rules, key=lambda rule: rule.from_ms):
            self._rules.setdefault(rule.model, {}).setdefault(rule.currency, []).append(rule)
        self._since_ms = {
            model: min(dated[0].from_ms for dated in by_currency.values()) for model, by_currency in self._rules.items()
        }
        self._first_ms = min(self._since_ms.values(), default=math.inf)

    @property
    def is_free(self) -> bool:
        """Whether no model has a price."""
        return not self._rules

    def lacks(self, model: str, at_ms: int) -> bool:
        """Whether a model has no price, not even one of 0, at a moment at which any has one."""
        return self._first_ms <= at_ms < self._since_ms.get(model, math.inf)

    def prices(self, model: str, at_ms: int) -> dict[str, Price]:
        """The price of a model by currency; empty when it is free."""
        found: dict[str, Price] = {}
        by_currency = self._rules.get(model)
        if by_currency:
            moment = datetime.fromtimestamp(at_ms / 1000, UTC)
            for currency, rules in by_currency.items():
                index = bisect.bisect_right(rules, at_ms, key=lambda rule: rule.from_ms) - 1
                if index >= 0:
                    price = rules[index].at(moment)
                    if not price.is_free:
                        found[currency] = price
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQuestion:
    """What a pricing knows of a request.

    Attributes:
        model: the served name of the request.
        account_id: who pays.
        at_ms: when, in milliseconds since 1970.
        table: what the price table says, by currency; empty where the model is free.
    """

    model: str
    account_id: str
    at_ms: int
    table: Mapping[str, Price]


class Pricing(Protocol):
    """Says what a request costs. An extension of the group `seekd.pricings` is a callable that makes one.

    It gives prices of tokens, not of a usage: what is held before a request and what it is charged follow from them by
    the same rule, so that no account can be charged more than was held.
    """

    def prices(self, question: PriceQuestion) -> Mapping[str, Price]:
        """The price by currency; empty makes the request free. Called on the event loop for every request."""


def load_prices(settings: AccountsSettings, *, models: Iterable[Collection[str]] = ()) -> PriceTable:
    """Build the table that the settings ask for.

    Args:
        settings: of this room.
        models: of each model the names that it is served by.

    Raises:
        ConfigError: a price or a date in the configuration cannot be read.
    """
    schedules, official = official_history()
    own = [_own_rule(price, schedules[PEAK]) for price in settings.prices]
    replaced = {(rule.model, rule.currency) for rule in own}
    kept = [rule for rule in official if (rule.model, rule.currency) not in replaced]
    rules = [*(kept if settings.official_prices else []), *own]
    return PriceTable([*rules, *(rule for names in models for rule in _covering(rules, names))])


def _covering(rules: Sequence[PriceRule], names: Collection[str]) -> Iterable[PriceRule]:
    """The rules of a model's one name with a price, for its other names."""
    priced = {rule.model for rule in rules if rule.model in names}
    if len(priced) == 1:
        for rule in rules:
            if rule.model in priced:
                yield from (replace(rule, model=name) for name in names if name not in priced)


def official_history() -> tuple[Mapping[str, Schedule], tuple[PriceRule, ...]]:
    """The schedules and the price history that ship with seekd."""
    text = resources.files("seekd.accounts").joinpath("data/official_prices.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    schedules = {name: _schedule(table) for name, table in document["schedules"].items()}
    rules = tuple(rule for entry in document["prices"] for rule in _official_rules(entry, schedules))
    return schedules, rules


def _official_rules(entry: Mapping[str, Any], schedules: Mapping[str, Schedule]) -> Iterable[PriceRule]:
    # Any: TOML tables of our own data file, which a test reads in full
    from_ms = int(entry["from"].timestamp() * 1000)
    scheduled = next(iter(entry.get("at", {}).items()), None)
    for model in entry["models"]:
        for currency in ("usd", "cny"):
            if currency in entry:
                yield PriceRule(
                    model=model,
                    currency=currency.upper(),
                    from_ms=from_ms,
                    price=_price(**entry[currency]),
                    schedule=None if scheduled is None else schedules[scheduled[0]],
                    scheduled=None if scheduled is None else _price(**scheduled[1][currency]),
                )


def _schedule(table: Mapping[str, Any]) -> Schedule:  # Any: as above
    return Schedule(
        windows=tuple((_minute(start), _minute(end)) for start, end in table["windows"]),
        weekdays=frozenset(table.get("weekdays", range(1, 8))),
        utc_offset=timedelta(hours=table.get("utc_offset_hours", 0)),
        holidays=tuple(
            (date.fromisoformat(first), date.fromisoformat(last)) for first, last in table.get("holidays", [])
        ),
    )


def _own_rule(setting: PriceSetting, peak: Schedule) -> PriceRule:
    name = f"accounts.prices of {setting.model} in {setting.currency}"
    try:
        price = _price(hit=setting.hit, miss=setting.miss, output=setting.output)
        dearer = _price(
            hit=setting.hit if setting.peak_hit is None else setting.peak_hit,
            miss=setting.miss if setting.peak_miss is None else setting.peak_miss,
            output=setting.output if setting.peak_output is None else setting.peak_output,
        )
        from_ms = 0 if setting.valid_from is None else parse_instant(setting.valid_from)
        if setting.peak_hours is not None:
            peak = Schedule(windows=tuple(window for text in setting.peak_hours for window in _windows(text)))
    except ValueError as error:
        raise ConfigError(f"{name}: {error}.") from error
    return PriceRule(
        model=setting.model,
        currency=setting.currency,
        from_ms=from_ms,
        price=price,
        schedule=peak if dearer != price else None,
        scheduled=dearer if dearer != price else None,
    )


def _windows(text: str) -> tuple[tuple[int, int], ...]:
    """Minute ranges of hours such as `09:00-17:30`; those across midnight are two."""
    if _HOURS.fullmatch(text) is None:
        raise ValueError(f"{text!r} are not hours (write them as 09:00-17:30)")
    start, end = (_minute(part) for part in text.split("-"))
    return ((start, end),) if start < end else ((start, _MINUTES_A_DAY), (0, end))


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _price(*, hit: PriceAmount, miss: PriceAmount, output: PriceAmount) -> Price:
    return Price(hit_micros=_per_million(hit), miss_micros=_per_million(miss), output_micros=_per_million(output))


def _per_million(amount: PriceAmount) -> int:
    # The shortest digits that a file can have meant, never an exponent.
    text = amount if isinstance(amount, str) else f"{Decimal(str(amount)):f}"
    whole, _, decimals = text.strip().partition(".")
    if not (whole + decimals).isascii() or not (whole + decimals).isdecimal() or len(decimals) > 6 or len(whole) > 9:
        raise ValueError(f"{text!r} is not a price (write it as 0.28, at most six decimals)")
    return int(whole or "0") * 1_000_000 + int(decimals.ljust(6, "0") or "0")
