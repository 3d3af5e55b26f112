"""The operations on idempotency keys; `test_idempotency.py` has what callers see of them."""

from collections.abc import Callable

import pytest

from seekd.accounts.claims import EndClaim, ForgetClaims, TakeClaim, check_key, hash_body, read_claim
from seekd.accounts.driver import Connection
from seekd.accounts.statements import statement
from seekd.accounts.transaction import run_batch
from seekd.accounts.types import Answer, Claim, Twin
from seekd.errors import IdempotencyConflict, InvalidParameter

ANSWER = Answer(status=200, headers=(), body=b"whole")
NOW_MS = 1_000_000


def twin_of(key: str, body: bytes = b"body") -> Twin:
    return Twin(account_id="open", idempotency_key=key, body_hash=hash_body(body))


def take(connection: Connection, key: str, *, request_id: str = "r", owner: str = "me") -> object:
    operation = TakeClaim(twin=twin_of(key), request_id=request_id, lifetime_ms=600)
    return run_batch(connection, [operation], now_ms=NOW_MS, owner=owner)[0]


def keep(connection: Connection, claim: object, *, until_ms: int) -> None:
    assert isinstance(claim, Claim)
    operation = EndClaim(claim=claim, answer=ANSWER, answer_expires_at_ms=until_ms)
    run_batch(connection, [operation], now_ms=NOW_MS, owner="me")


def test_a_claim_that_is_taken_twice_by_the_same_request_is_one(connect: Callable[[], Connection]) -> None:
    connection = connect()
    claim = take(connection, "k")
    assert isinstance(claim, Claim)
    assert take(connection, "k") == claim
    assert isinstance(take(connection, "k", request_id="other"), Twin)
    assert isinstance(take(connection, "k", owner="another server"), Twin)


def test_a_repeat_reads_what_it_would_get_and_changes_nothing(connect: Callable[[], Connection]) -> None:
    connection, reader = connect(), connect()
    twin = twin_of("k")
    assert read_claim(reader, twin, now_ms=NOW_MS) is None
    claim = take(connection, "k")
    assert read_claim(reader, twin, now_ms=NOW_MS + 10_000) is twin  # a running request has no lifetime
    with pytest.raises(IdempotencyConflict):
        read_claim(reader, twin_of("k", b"other"), now_ms=NOW_MS)
    keep(connection, claim, until_ms=NOW_MS + 10)
    assert read_claim(reader, twin, now_ms=NOW_MS + 9) == ANSWER
    assert read_claim(reader, twin, now_ms=NOW_MS + 10) is None


def test_answers_whose_lifetime_is_over_leave_the_database(connect: Callable[[], Connection]) -> None:
    connection = connect()
    keep(connection, take(connection, "old"), until_ms=NOW_MS + 1)
    keep(connection, take(connection, "new"), until_ms=NOW_MS + 1000)
    take(connection, "running")
    run_batch(connection, [ForgetClaims()], now_ms=NOW_MS + 700, owner="")
    keys = connection.rows(statement("SELECT idempotency_key FROM idempotency ORDER BY idempotency_key"))
    assert keys == [("new",), ("running",)]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b"])
def test_a_key_that_cannot_be_stored_is_refused(key: str) -> None:
    with pytest.raises(InvalidParameter):
        check_key(key)
    check_key("x" * 255)
