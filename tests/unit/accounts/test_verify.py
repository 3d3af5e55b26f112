"""Breaks the books on purpose: each break must be seen."""

from collections.abc import Callable

import pytest

from seekd.accounts.driver import Connection, TransactionFailed
from seekd.accounts.operations import AddGrant, Reserve, Settle, TopUp
from seekd.accounts.statements import statement
from seekd.accounts.transaction import run_batch
from seekd.accounts.types import Price, Reservation, Usage
from seekd.accounts.verify import verify_ledger

PRICE = Price(hit_micros=1_000_000, miss_micros=1_000_000, output_micros=1_000_000)


@pytest.fixture
def connection(connect: Callable[[], Connection]) -> Connection:
    """Books with a top-up, a grant, three charges and a running request."""
    connection = connect()
    run_batch(
        connection,
        [
            TopUp(account_id="open", currency="USD", micros=1000, reference="p"),
            AddGrant(account_id="open", currency="USD", micros=150, grant_id="g", expires_at_ms=None),
        ],
        now_ms=1,
        owner="o",
    )
    for number in range(4):
        reserve = Reserve(
            account_id="open",
            key_id=None,
            request_id=f"r{number}",
            model="m",
            prices=(("USD", PRICE),),
            num_prompt_tokens=100,
            max_completion_tokens=10,
            is_retry_safe=False,
        )
        reservation = run_batch(connection, [reserve], now_ms=2, owner="o")[0]
        assert isinstance(reservation, Reservation)
        if number < 3:
            usage = Usage(num_hit_tokens=0, num_miss_tokens=100, num_completion_tokens=number)
            run_batch(connection, [Settle(reservation=reservation, usage=usage)], now_ms=3, owner="o")
    return connection


def test_books_that_nobody_touched_are_right(connection: Connection) -> None:
    found = verify_ledger(connection)
    assert found.problems == ()
    assert (found.num_pools, found.num_rows) == (1, 6)  # two credits, three charges, one of them from two books


@pytest.mark.parametrize("command", ["UPDATE ledger SET micros = 1", "DELETE FROM ledger", "DELETE FROM api_keys"])
def test_the_database_refuses_to_change_a_row(connection: Connection, command: str) -> None:
    connection.run(statement("INSERT INTO api_keys VALUES ('k', 'open', '', x'00', '', '', 0, NULL, NULL, NULL, NULL)"))
    with pytest.raises(TransactionFailed, match="never changed"):
        connection.run(statement(command))


BREAKS = [
    ("UPDATE ledger SET micros = micros + 1 WHERE seq = 3", "row 3 was changed"),
    ("UPDATE ledger SET reference = 'other' WHERE seq = 4", "row 4 was changed"),
    ("UPDATE ledger SET at_ms = 0 WHERE seq = 1", "row 1 was changed"),
    ("UPDATE ledger SET target = 'topped_up' WHERE seq = 3", "row 3 was changed"),
    ("UPDATE ledger SET micros = 5000 WHERE seq = 3", "takes more from"),
    ("DELETE FROM ledger WHERE seq = 4", "row 4 is missing"),
    ("DELETE FROM ledger WHERE seq = 6", "the balance remembers row 6"),
    ("UPDATE pools SET topped_up_micros = topped_up_micros + 1", "topped-up balance is"),
    ("UPDATE pools SET granted_micros = granted_micros + 1", "granted balance is"),
    ("UPDATE grants SET remaining_micros = 10", "grant:g has 10"),
    ("UPDATE pools SET held_micros = 0", "0 are held"),
    ("DELETE FROM holds", "running requests hold 0"),
    ("UPDATE usage SET cost_micros = 1 WHERE request_id = 'r1'", "request r1 cost 1"),
    ("DELETE FROM usage WHERE request_id = 'r1'", "request r1 cost 0"),
    ("UPDATE pools SET last_digest = x'00'", "another digest"),
    ("DELETE FROM pools", "there is no balance"),
    ("UPDATE ledger SET currency = 'CNY' WHERE seq = 6", "open CNY: the ledger has rows"),
]


@pytest.mark.parametrize(("command", "problem"), BREAKS)
def test_every_break_is_seen(connection: Connection, command: str, problem: str) -> None:
    for trigger in ("ledger_no_update", "ledger_no_delete"):
        connection.run(statement(f"DROP TRIGGER {trigger}"))
    assert connection.run(statement(command)) > 0
    found = verify_ledger(connection)
    assert any(problem in text for text in found.problems), found.problems
