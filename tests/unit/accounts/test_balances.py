from collections.abc import Callable

from seekd.accounts.balances import read_balance
from seekd.accounts.driver import Connection
from seekd.accounts.registry import Registry
from seekd.accounts.types import Balance, CurrencyBalance
from tests.unit.accounts.conftest import Clock


def read(connection: Connection, clock: Clock) -> Balance:
    return read_balance(connection, "open", now_ms=clock.now_ms, default_currency="CNY", is_everything_free=False)


def test_an_account_without_money_is_shown_with_zero(connect: Callable[[], Connection], clock: Clock) -> None:
    empty = CurrencyBalance(currency="CNY", granted_micros=0, topped_up_micros=0, held_micros=0)
    assert read(connect(), clock) == Balance(account_id="open", is_available=False, currencies=(empty,))


def test_an_expired_grant_is_not_shown_and_reading_writes_nothing(
    registry: Registry, connect: Callable[[], Connection], clock: Clock
) -> None:
    registry.grant("open", currency="USD", micros=5, expires_at_ms=clock.now_ms + 1000)
    connection = connect()
    assert read(connection, clock).currencies[0].available_micros == 5
    clock.now_s += 1
    assert not read(connection, clock).is_available
    clock.now_s -= 1
    assert read(connection, clock).is_available
