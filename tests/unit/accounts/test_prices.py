from datetime import UTC, datetime
from typing import Any

import pytest

from seekd.accounts.prices import PriceTable, load_prices, official_history
from seekd.accounts.settings import AccountsSettings, PriceAmount, PriceSetting
from seekd.accounts.types import Price
from seekd.errors import ConfigError


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def official() -> PriceTable:
    return load_prices(AccountsSettings(official_prices=True))


def usd(table: PriceTable, model: str, moment: str) -> tuple[int, int, int] | None:
    price = table.prices(model, at(moment)).get("USD")
    return None if price is None else (price.hit_micros, price.miss_micros, price.output_micros)


@pytest.mark.parametrize(
    ("model", "moment", "expected"),
    [
        ("deepseek-chat", "2024-07-01", (140_000, 140_000, 280_000)),
        ("deepseek-chat", "2024-08-02", (14_000, 140_000, 280_000)),
        ("deepseek-chat", "2025-02-08T15:59:59", (14_000, 140_000, 280_000)),
        ("deepseek-chat", "2025-02-08T16:00:00", (70_000, 270_000, 1_100_000)),
        ("deepseek-chat", "2025-06-01T16:29:59", (70_000, 270_000, 1_100_000)),
        ("deepseek-chat", "2025-06-01T16:30:00", (35_000, 135_000, 550_000)),
        ("deepseek-reasoner", "2025-06-01T00:29:59", (35_000, 137_500, 547_500)),
        ("deepseek-reasoner", "2025-06-01T00:30:00", (140_000, 550_000, 2_190_000)),
        ("deepseek-reasoner", "2025-09-20", (70_000, 560_000, 1_680_000)),
        ("deepseek-chat", "2026-01-01", (28_000, 280_000, 420_000)),
        ("deepseek-v4-flash", "2026-04-25", (28_000, 140_000, 280_000)),
        ("deepseek-v4-flash", "2026-04-26", (2_800, 140_000, 280_000)),
        ("deepseek-v4-pro", "2026-05-05", (3_625, 435_000, 870_000)),
        ("deepseek-v4-pro", "2026-08-17T01:00", (44_000, 1_320_000, 3_960_000)),  # a Monday
        ("deepseek-v4-pro", "2026-08-17T04:00", (22_000, 660_000, 1_980_000)),
        ("deepseek-v4-pro", "2026-08-17T06:00", (44_000, 1_320_000, 3_960_000)),
        ("deepseek-v4-pro", "2026-08-17T10:00", (22_000, 660_000, 1_980_000)),
        ("deepseek-v4-pro", "2026-08-22T02:00", (22_000, 660_000, 1_980_000)),  # a Saturday
        ("deepseek-flash", "2026-10-01T02:00", (3_000, 150_000, 600_000)),  # a Thursday, but a holiday
        ("deepseek-flash", "2026-10-08T02:00", (6_000, 300_000, 1_200_000)),
        ("deepseek-v4-pro", "2026-04-23", None),
        ("gpt-2", "2026-10-08", None),
    ],
)
def test_the_official_history(
    official: PriceTable, model: str, moment: str, expected: tuple[int, int, int] | None
) -> None:
    assert usd(official, model, moment) == expected


def test_the_latest_prices_are_in_both_currencies(official: PriceTable) -> None:
    prices = official.prices("deepseek-v4-pro", at("2026-11-21T12:00"))  # a Saturday
    assert prices["CNY"] == Price(hit_micros=150_000, miss_micros=4_500_000, output_micros=13_500_000)
    assert set(prices) == {"USD", "CNY"}


def test_in_every_official_price_a_hit_never_costs_more_than_a_miss() -> None:
    _, rules = official_history()
    for rule in rules:
        for price in (rule.price, rule.scheduled or rule.price):
            assert 0 < price.hit_micros <= price.miss_micros < price.output_micros


def test_everything_is_free_by_default() -> None:
    table = load_prices(AccountsSettings())
    assert table.is_free
    assert table.prices("deepseek-chat", at("2026-11-23")) == {}


def test_own_prices_replace_official_ones_of_the_same_model_and_currency() -> None:
    own = (
        PriceSetting(model="deepseek-flash", currency="USD", hit="0", miss="1", output="2", peak_output="3.5"),
        PriceSetting(model="deepseek-flash", currency="USD", hit="0", miss="5", output="9", valid_from="2026-12-01"),
        PriceSetting(model="mine", currency="CNY", hit="0", miss="0", output="0"),
    )
    table = load_prices(AccountsSettings(official_prices=True, prices=own))
    assert usd(table, "deepseek-flash", "2026-11-23T00:00") == (0, 1_000_000, 2_000_000)
    assert usd(table, "deepseek-flash", "2026-11-23T02:00") == (0, 1_000_000, 3_500_000)
    assert usd(table, "deepseek-flash", "2026-12-01") == (0, 5_000_000, 9_000_000)
    assert table.prices("deepseek-flash", at("2026-11-23"))["CNY"].miss_micros == 1_000_000
    assert table.prices("mine", at("2026-11-23")) == {}  # a price of 0 needs no balance


@pytest.mark.parametrize("amounts", [("0.028", "0.28", "1"), (0.028, 0.28, 1), (0.028, "0.280", 1.0)])
def test_a_price_may_be_written_as_a_number(amounts: tuple[PriceAmount, PriceAmount, PriceAmount]) -> None:
    hit, miss, output = amounts
    setting = PriceSetting(model="m", currency="USD", hit=hit, miss=miss, output=output, peak_output=0)
    table = load_prices(AccountsSettings(prices=(setting,)))
    assert usd(table, "m", "2026-11-21T12:00") == (28_000, 280_000, 1_000_000)  # a Saturday
    assert usd(table, "m", "2026-11-20T02:00") == (28_000, 280_000, 0)


def test_a_name_lacks_a_price_only_while_another_one_has_one() -> None:
    def own(model: str, output: str, valid_from: str | None = None) -> PriceSetting:
        return PriceSetting(model=model, currency="USD", hit="0", miss="0", output=output, valid_from=valid_from)

    assert not load_prices(AccountsSettings()).lacks("any", at("2026-12-01"))
    prices = (own("early", "1", "2026-12-01"), own("late", "1", "2026-12-03"), own("free", "0", "2026-12-02"))
    table = load_prices(AccountsSettings(prices=prices))
    lacking = {
        day: {name for name in ("early", "late", "free", "other") if table.lacks(name, at(f"2026-{day}"))}
        for day in ("11-30", "12-01", "12-02", "12-03")
    }
    assert lacking == {
        "11-30": set(),
        "12-01": {"late", "free", "other"},
        "12-02": {"late", "other"},
        "12-03": {"other"},
    }


def test_the_one_price_of_a_model_is_that_of_all_its_names_and_of_no_other_model() -> None:
    own = (
        PriceSetting(model="one", currency="USD", hit="0", miss="1", output="2"),
        PriceSetting(model="one", currency="CNY", hit="0", miss="5", output="9", valid_from="2026-12-01"),
        PriceSetting(model="mine", currency="USD", hit="0", miss="3", output="3"),
        PriceSetting(model="yours", currency="USD", hit="0", miss="4", output="4"),
    )
    models = [("one", "uno", "eins"), ("mine", "yours", "theirs"), ("alone",)]
    table = load_prices(AccountsSettings(prices=own), models=models)
    now = at("2026-12-02")
    assert table.prices("uno", now) == table.prices("eins", now) == table.prices("one", now)
    assert set(table.prices("uno", now)) == {"USD", "CNY"}
    assert [name for names in models for name in names if table.lacks(name, now)] == ["theirs", "alone"]


@pytest.mark.parametrize(
    ("time", "is_peak"),
    [("05:59", True), ("06:00", False), ("21:59", False), ("22:00", True), ("23:59:59", True), ("00:00", True)],
)
def test_own_peak_hours_may_cross_midnight(time: str, is_peak: bool) -> None:
    own = PriceSetting(
        model="m", currency="USD", hit="0", miss="1", output="2", peak_output="3", peak_hours=("22:00-06:00",)
    )
    price = usd(load_prices(AccountsSettings(prices=(own,))), "m", f"2026-11-28T{time}")  # a Saturday
    assert price == (0, 1_000_000, 3_000_000 if is_peak else 2_000_000)


def test_own_peak_hours_may_be_several() -> None:
    own = PriceSetting(
        model="m",
        currency="USD",
        hit="0",
        miss="1",
        output="2",
        peak_miss="4",
        peak_hours=("08:00-12:00", "13:00-24:00"),
    )
    table = load_prices(AccountsSettings(prices=(own,)))
    hours = [hour for hour in range(24) if usd(table, "m", f"2026-11-28T{hour:02}:00") == (0, 4_000_000, 2_000_000)]
    assert hours == [8, 9, 10, 11, *range(13, 24)]


@pytest.mark.parametrize(
    "changes",
    [
        {"hit": "-1"},
        {"miss": "1,5"},
        {"hit": 0.0000001},
        {"hit": -1},
        {"hit": float("nan")},
        {"output": "0.0000001"},
        {"valid_from": "soon"},
        {"peak_hit": "x"},
        {"peak_hours": ("8-12",)},
        {"peak_hours": ("08:00-25:00",)},
    ],
)
def test_a_price_that_cannot_be_read_stops_the_start(changes: dict[str, Any]) -> None:
    values: dict[str, Any] = {"hit": "1", "miss": "1", "output": "1", **changes}
    setting = PriceSetting(model="mine", currency="USD", **values)
    with pytest.raises(ConfigError, match=r"accounts\.prices of mine in USD"):
        load_prices(AccountsSettings(prices=(setting,)))
