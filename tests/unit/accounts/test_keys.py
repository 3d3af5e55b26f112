import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seekd.accounts.driver import Connection
from seekd.accounts.keys import KEY_PREFIX, KeyRing, bearer_key, load_admin_token, new_secret
from seekd.accounts.registry import KeyOptions, Registry
from seekd.accounts.statements import statement
from seekd.accounts.types import Limits
from seekd.errors import ConfigError, Unauthenticated


def test_a_key_is_sk_and_32_hexadecimal_digits_and_never_the_same() -> None:
    keys = {new_secret(KEY_PREFIX) for _ in range(50)}
    assert len(keys) == 50
    assert all(re.fullmatch(r"sk-[0-9a-f]{32}", key) for key in keys)


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "key"),
    [
        ("Bearer sk-1", None, "sk-1"),
        ("bearer   sk-1 ", None, "sk-1"),
        ("Bearer sk-1", "sk-2", "sk-1"),
        (None, "sk-2", "sk-2"),
        (None, None, None),
        ("", None, None),
        ("Bearer", None, None),
        ("Bearer ", None, None),
        ("Basic c2stMQ==", None, None),
        ("sk-1", None, None),
    ],
)
def test_the_key_is_found_in_the_headers(authorization: str | None, x_api_key: str | None, key: str | None) -> None:
    assert bearer_key(authorization, x_api_key) == key


def test_the_database_holds_no_key(registry: Registry, connect: Callable[[], Connection], data_dir: Path) -> None:
    secret = registry.create_key(registry.create_account("a").id).secret
    connect().run(statement("PRAGMA wal_checkpoint(TRUNCATE)"))
    stored = b"".join(path.read_bytes() for path in data_dir.iterdir())
    assert secret.encode() not in stored
    assert secret[7:-4].encode() not in stored


def test_what_is_no_key_is_refused_without_a_fault(registry: Registry, connect: Callable[[], Connection]) -> None:
    registry.create_key(registry.create_account("a").id)
    ring, connection = KeyRing(allows_open=True), connect()
    for key in (None, "", "x", "sk-" + "0" * 32, "\ud800", "é" * 100, "k" * 100_000):
        with pytest.raises(Unauthenticated):
            ring.authenticate(connection, key, now_ms=0)


def test_a_ring_that_may_not_be_open_asks_for_a_key_although_none_exists(connect: Callable[[], Connection]) -> None:
    with pytest.raises(Unauthenticated):
        KeyRing(allows_open=False).authenticate(connect(), None, now_ms=0)


def test_changed_limits_of_an_account_hold_at_the_next_check(
    registry: Registry, connect: Callable[[], Connection]
) -> None:
    account = registry.create_account("a", limits=Limits(max_concurrency=1))
    secret = registry.create_key(account.id, KeyOptions(limits=Limits(tokens_per_minute=9))).secret
    ring, connection = KeyRing(allows_open=True), connect()
    before = ring.authenticate(connection, secret, now_ms=0)
    assert (before.account_limits, before.key_limits) == (Limits(max_concurrency=1), Limits(tokens_per_minute=9))
    registry.set_limits(account.id, Limits(max_concurrency=7))
    assert ring.authenticate(connection, secret, now_ms=0).account_limits == Limits(max_concurrency=7)


def test_the_admin_token_is_made_once_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    token = load_admin_token(path)
    text = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"adm-[0-9a-f]{32}", text)
    assert token.matches(text)
    assert load_admin_token(path).matches(text)
    assert list(tmp_path.iterdir()) == [path]
    for wrong in (None, "", "adm-" + "0" * 32, text + " ", text[:-1]):
        assert not token.matches(wrong)


def test_an_admin_token_that_others_can_read_or_that_is_empty_keeps_the_server_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    load_admin_token(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_admin_token(path)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(ConfigError, match="too short"):
        load_admin_token(path)
    with pytest.raises(ConfigError, match="cannot be read or made"):
        load_admin_token(tmp_path / "nowhere" / "admin.token")
