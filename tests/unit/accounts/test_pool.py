import pytest

from seekd.accounts.pool import EXPIRED, GIFTS, PAYMENTS, REVENUE, TOPPED_UP, Grant, Pool, ledger_digest


def make() -> Pool:
    pool = Pool(account_id="a", currency="USD")
    pool.top_up(100, reference="p", at_ms=0)
    pool.add_grant(Grant(id="forever", remaining_micros=30, expires_at_ms=None), at_ms=0)
    pool.add_grant(Grant(id="late", remaining_micros=20, expires_at_ms=200), at_ms=0)
    pool.add_grant(Grant(id="soon", remaining_micros=10, expires_at_ms=100), at_ms=0)
    pool.transfers.clear()
    return pool


def moves(pool: Pool) -> list[tuple[str, str, int]]:
    return [(transfer.source, transfer.target, transfer.micros) for transfer in pool.transfers]


def test_a_charge_takes_the_grant_that_ends_first_and_paid_balance_last() -> None:
    pool = make()
    payment = pool.charge(65, reference="r", at_ms=1)
    assert (payment.granted_micros, payment.topped_up_micros) == (60, 5)
    assert moves(pool) == [
        ("grant:soon", REVENUE, 10),
        ("grant:late", REVENUE, 20),
        ("grant:forever", REVENUE, 30),
        (TOPPED_UP, REVENUE, 5),
    ]


def test_credits_come_from_outside() -> None:
    pool = Pool(account_id="a", currency="USD")
    pool.top_up(1, reference="p", at_ms=0)
    pool.add_grant(Grant(id="g", remaining_micros=2, expires_at_ms=None), at_ms=0)
    assert moves(pool) == [(PAYMENTS, TOPPED_UP, 1), (GIFTS, "grant:g", 2)]


def test_what_is_taken_back_goes_where_it_came_from_and_grants_stay() -> None:
    pool = make()
    pool.hold(60)
    pool.take_back(100, reference="p", at_ms=1)
    assert moves(pool) == [(TOPPED_UP, PAYMENTS, 100)]
    assert (pool.topped_up_micros, pool.granted_micros, pool.available_micros) == (0, 60, 0)


def test_an_expiry_takes_what_no_running_request_needs() -> None:
    pool = make()
    pool.hold(155)
    pool.expire(100)  # 160 are there, 155 are held
    assert moves(pool) == [("grant:soon", EXPIRED, 5)]
    assert pool.available_micros == 0
    pool.unhold(155)
    pool.expire(100)
    assert moves(pool)[1:] == [("grant:soon", EXPIRED, 5)]
    assert pool.available_micros == 150


def test_a_request_that_was_admitted_pays_from_a_grant_that_ended_meanwhile() -> None:
    pool = make()
    pool.charge(160, reference="r", at_ms=0)
    pool.add_grant(Grant(id="g", remaining_micros=50, expires_at_ms=100), at_ms=0)
    pool.hold(50)
    pool.expire(500)
    pool.unhold(50)
    assert pool.charge(50, reference="s", at_ms=500).granted_micros == 50


@pytest.mark.parametrize("micros", [0, -1, 2**62])
def test_an_amount_that_cannot_be_credited_changes_nothing(micros: int) -> None:
    pool = make()
    with pytest.raises(ValueError, match="more than 0"):
        pool.top_up(micros, reference="p", at_ms=0)
    assert pool.total_micros == 160


FIRST = (1, "charge", "a", "b", 1, "r", 5)


@pytest.mark.parametrize(
    "other",
    [
        (2, "charge", "a", "b", 1, "r", 5),
        (1, "top_up", "a", "b", 1, "r", 5),
        (1, "charge", "b", "a", 1, "r", 5),
        (1, "charge", "a", "b", 2, "r", 5),
        (1, "charge", "a", "b", 1, 'r","', 5),
        (1, "charge", "a", "b", 1, "r", 6),
    ],
)
def test_every_field_of_a_row_is_in_its_digest(other: tuple[object, ...]) -> None:
    assert ledger_digest(b"", FIRST) != ledger_digest(b"", other)
    assert ledger_digest(b"", FIRST) != ledger_digest(b"x", FIRST)
