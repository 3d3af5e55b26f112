from collections.abc import Callable

import pytest

from seekd.accounts.driver import Connection
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.statements import statement
from seekd.accounts.types import Limits
from seekd.accounts.verify import verify_ledger
from seekd.errors import InvalidParameter, StoreError
from tests.unit.accounts.conftest import Clock


def test_an_account_is_listed_with_what_it_was_made_with(registry: Registry, clock: Clock) -> None:
    made = registry.create_account("lab", limits=Limits(requests_per_minute=5))
    assert registry.account(made.id) == made
    assert made.created_at_ms == clock.now_ms
    assert {account.id for account in registry.accounts()} == {"open", made.id}
    with pytest.raises(InvalidParameter, match="There is no account 'acct_nobody'"):
        registry.account("acct_nobody")


@pytest.mark.parametrize("name", ["", "lab", "a\nb", "x" * 201])
def test_a_name_must_be_printable_short_and_new(registry: Registry, name: str) -> None:
    registry.create_account("lab")
    with pytest.raises(InvalidParameter):
        registry.create_account(name)


def test_credit_adds_up_and_a_grant_ends(registry: Registry, clock: Clock) -> None:
    account = registry.create_account("lab")
    registry.top_up(account.id, currency="USD", micros=1_500_000)
    registry.grant(account.id, currency="USD", micros=500_000, expires_at_ms=clock.now_ms + 1000)
    balance = registry.grant(account.id, currency="CNY", micros=7)
    assert [(entry.currency, entry.granted_micros, entry.topped_up_micros) for entry in balance.currencies] == [
        ("CNY", 7, 0),
        ("USD", 500_000, 1_500_000),
    ]
    clock.now_s += 1
    assert registry.balance(account.id).currencies[1].granted_micros == 0


@pytest.mark.parametrize(
    ("account_id", "currency", "micros"),
    [("acct_nobody", "USD", 1), ("open", "EUR", 1), ("open", "USD", 0), ("open", "USD", -5), ("open", "USD", 10**15)],
)
def test_credit_that_makes_no_sense_is_refused(registry: Registry, account_id: str, currency: str, micros: int) -> None:
    with pytest.raises(InvalidParameter):
        registry.top_up(account_id, currency=currency, micros=micros)
    with pytest.raises(InvalidParameter):
        registry.grant(account_id, currency=currency, micros=micros)


def test_what_would_have_expired_already_is_refused(registry: Registry, clock: Clock) -> None:
    with pytest.raises(InvalidParameter, match="expired already"):
        registry.grant("open", currency="USD", micros=1, expires_at_ms=clock.now_ms)
    with pytest.raises(InvalidParameter, match="expired already"):
        registry.create_key("open", KeyOptions(expires_at_ms=clock.now_ms))


def test_a_key_is_listed_without_its_secret(registry: Registry) -> None:
    account = registry.create_account("lab")
    key = registry.create_key(account.id, KeyOptions(name="ci", allowed_models=["m"], limits=Limits(max_concurrency=1)))
    assert registry.keys(account.id) == [key.view]
    assert registry.keys("open") == []
    assert key.secret not in repr(key)
    assert key.secret.startswith(key.view.prefix)
    assert key.secret.endswith(key.view.tail)
    with pytest.raises(InvalidParameter):
        registry.create_key("acct_nobody")


@pytest.mark.parametrize("model", ["x" * 257, "a\0"])
def test_a_key_is_for_no_model_that_no_request_could_name(registry: Registry, model: str) -> None:
    account = registry.create_account("team")
    with pytest.raises(InvalidParameter, match="at most 256 printable characters"):
        registry.create_key(account.id, KeyOptions(allowed_models=["deepseek-chat", model]))
    assert registry.keys() == []


def test_revoking_twice_keeps_the_first_time(registry: Registry, clock: Clock) -> None:
    key = registry.create_key(registry.create_account("lab").id).view
    first = registry.revoke_key(key.id)
    clock.now_s += 5
    assert registry.revoke_key(key.id) == first
    assert first is not None
    assert first.revoked_at_ms == clock.now_ms - 5000
    assert registry.revoke_key("key_nobody") is None


def test_a_database_that_is_busy_is_a_store_error(registry: Registry, connect: Callable[[], Connection]) -> None:
    connect().run(statement("DROP TABLE ledger"))
    with pytest.raises(StoreError, match="could not be written") as refused:
        registry.top_up("open", currency="USD", micros=1)
    assert "no such table" in refused.value.reason
    assert registry.balance("open").currencies[0].total_micros == 0


def test_an_id_wins_over_a_name_that_looks_like_it(registry: Registry) -> None:
    first = registry.create_account("lab")
    second = registry.create_account(first.id)
    assert registry.account(first.id) == first
    assert registry.account("lab") == first
    assert registry.account(second.id) == second


def test_a_new_name_must_be_new(registry: Registry) -> None:
    lab = registry.create_account("lab")
    registry.create_account("team")
    with pytest.raises(InvalidParameter, match="There is an account 'team' already"):
        registry.rename("lab", "team")
    assert registry.rename("lab", "lab") == lab
    assert registry.rename("lab", "crew").name == "crew"


def test_the_account_of_open_access_is_listed_last_and_stays(registry: Registry) -> None:
    registry.create_account("lab")
    assert [account.name for account in registry.accounts()] == ["lab", "open"]
    with pytest.raises(InvalidParameter, match="making a key ends open access"):
        registry.rename("open", "closed")
    with pytest.raises(InvalidParameter, match="making a key ends open access"):
        registry.disable("open")


def test_only_paid_balance_that_nobody_holds_is_taken_back(
    registry: Registry, connect: Callable[[], Connection]
) -> None:
    registry.create_account("lab")
    registry.grant("lab", currency="USD", micros=5_000_000)
    registry.top_up("lab", currency="USD", micros=2_000_000)
    with pytest.raises(InvalidParameter, match=r"At most 2\.00 USD"):
        registry.take_back("lab", currency="USD", micros=2_000_001)
    with pytest.raises(InvalidParameter, match=r"At most 0\.00 CNY"):
        registry.take_back("lab", currency="CNY", micros=1)
    [entry] = registry.take_back("lab", currency="USD", micros=500_000).currencies
    assert (entry.topped_up_micros, entry.granted_micros) == (1_500_000, 5_000_000)
    assert verify_ledger(connect()).problems == ()
