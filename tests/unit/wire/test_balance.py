import json

import pytest

from seekd.accounts.types import Balance, CurrencyBalance
from seekd.wire.balance import balance_body


def balance(*, granted: int, topped_up: int, is_available: bool = True) -> Balance:
    entry = CurrencyBalance(currency="USD", granted_micros=granted, topped_up_micros=topped_up, held_micros=0)
    return Balance(account_id="a", is_available=is_available, currencies=(entry,))


@pytest.mark.parametrize(
    ("micros", "shown"),
    [
        (0, "0.00"),
        (1, "0.00"),
        (9_999, "0.00"),
        (10_000, "0.01"),
        (1_234_567, "1.23"),
        (-1, "-0.01"),
        (-1_500_000, "-1.50"),
    ],
)
def test_amounts_are_cut_to_cents_that_are_there_to_spend(micros: int, shown: str) -> None:
    body = balance_body(balance(granted=0, topped_up=micros))
    assert json.loads(body)["balance_infos"][0]["total_balance"] == shown


def test_the_total_is_made_of_both_parts() -> None:
    info = json.loads(balance_body(balance(granted=5_000, topped_up=5_000, is_available=False)))
    assert info["is_available"] is False
    assert info["balance_infos"] == [
        {"currency": "USD", "total_balance": "0.01", "granted_balance": "0.00", "topped_up_balance": "0.00"}
    ]
