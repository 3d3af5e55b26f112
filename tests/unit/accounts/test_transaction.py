from collections.abc import Callable
from dataclasses import dataclass

import pytest

from seekd.accounts.driver import Connection
from seekd.accounts.operations import Reserve, TopUp
from seekd.accounts.statements import statement
from seekd.accounts.transaction import Needs, Transaction, run_batch
from seekd.accounts.types import Price, Reservation
from seekd.errors import InsufficientBalance

PRICE = Price(hit_micros=1_000_000, miss_micros=1_000_000, output_micros=1_000_000)


def reserve(request_id: str, num_tokens: int) -> Reserve:
    return Reserve(
        account_id="open",
        key_id=None,
        request_id=request_id,
        model="m",
        prices=(("USD", PRICE),),
        num_prompt_tokens=num_tokens,
        max_completion_tokens=0,
        is_retry_safe=False,
    )


def test_one_refusal_in_a_batch_costs_the_others_nothing(connect: Callable[[], Connection]) -> None:
    connection = connect()
    operations = [TopUp(account_id="open", currency="USD", micros=10, reference="p")]
    run_batch(connection, operations, now_ms=1, owner="o")
    batch = [reserve("a", 4), reserve("b", 99), reserve("c", 6)]
    outcomes = run_batch(connection, batch, now_ms=1, owner="o")
    assert isinstance(outcomes[0], Reservation)
    assert isinstance(outcomes[1], InsufficientBalance)
    assert isinstance(outcomes[2], Reservation)


def test_a_reservation_applied_twice_is_one_hold(connect: Callable[[], Connection]) -> None:
    connection = connect()
    run_batch(connection, [TopUp(account_id="open", currency="USD", micros=10, reference="p")], now_ms=1, owner="o")
    first = run_batch(connection, [reserve("a", 10)], now_ms=1, owner="o")
    again = run_batch(connection, [reserve("a", 10)], now_ms=2, owner="o")
    assert first == again
    assert connection.rows(statement("SELECT held_micros FROM pools")) == [(10,)]


@dataclass
class Raises:
    account_id: str = "open"

    @property
    def needs(self) -> Needs:
        return Needs(account_id="open")

    def apply(self, transaction: Transaction) -> None:
        raise KeyError("a bug")


def test_a_fault_leaves_nothing_of_its_batch(connect: Callable[[], Connection]) -> None:
    connection = connect()
    with pytest.raises(KeyError):
        run_batch(
            connection,
            [TopUp(account_id="open", currency="USD", micros=10, reference="p"), Raises()],
            now_ms=1,
            owner="o",
        )
    assert connection.rows(statement("SELECT * FROM ledger")) == []
    connection.begin()  # and no open transaction
    connection.rollback()
