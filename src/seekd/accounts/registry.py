"""Accounts and keys, as people and scripts manage them: made, listed, topped up, revoked.

Used by the command line and by the admin API, each with a connection of its own, while the server runs.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TypeVar

from seekd.accounts import statements as sql
from seekd.accounts.audit import AuditTrail
from seekd.accounts.balances import read_balance
from seekd.accounts.clock import DatabaseClock
from seekd.accounts.driver import Connection, Row, TransactionFailed
from seekd.accounts.keys import KEY_PREFIX, decode_limits, encode_limits, hash_secret, new_secret, shown_parts
from seekd.accounts.operations import AddGrant, TopUp
from seekd.accounts.settings import CURRENCIES
from seekd.accounts.types import (
    MAX_MODEL_NAME_CHARS,
    NO_LIMITS,
    AccountView,
    Balance,
    KeyView,
    Limits,
    NewKey,
    is_model_name,
)
from seekd.accounts.unit import Operation, run_batch
from seekd.errors import InvalidParameter, StoreError

T = TypeVar("T")

MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOptions:
    """What may be set for a new key.

    Attributes:
        name: for people; empty is allowed.
        expires_at_ms: None never.
        allowed_models: None allows all.
    """

    name: str = ""
    expires_at_ms: int | None = None
    limits: Limits = NO_LIMITS
    allowed_models: Sequence[str] | None = None


class Registry:
    """Changes and lists accounts and keys. Used by one thread; every method raises `StoreError`.

    Args:
        audit: writes down every change before it is made; None for none, in tests and scripts of one's own.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        audit: AuditTrail | None = None,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._connection = connection
        self._audit = audit
        self._clock = DatabaseClock(clock)
        self._random_bytes = random_bytes

    def now_ms(self) -> int:
        """What time it is for the books, in milliseconds since 1970: spans such as `30d` begin here."""
        try:
            self._clock.follow(self._connection)
        except TransactionFailed as failure:
            raise StoreError("The books could not be used.", reason=str(failure)) from failure
        return self._clock.now_ms

    # --- accounts

    def create_account(self, name: str, *, limits: Limits = NO_LIMITS) -> AccountView:
        """Make an account.

        Raises:
            InvalidParameter: the name is empty, too long or taken.
        """
        _check_name(name, "account")
        account = AccountView(id=self._new_id("acct"), name=name, created_at_ms=self.now_ms(), limits=limits)
        row = {
            "id": account.id,
            "name": name,
            "created_at_ms": account.created_at_ms,
            "limits": encode_limits(limits),
        }
        with self._change("account.create", account.id, name=name, limits=_shown_limits(limits)):
            if not self._transact(lambda: self._connection.run(sql.INSERT_ACCOUNT, row)):
                raise InvalidParameter(f"There is an account {name!r} already.")
        return account

    def accounts(self) -> list[AccountView]:
        """All accounts, oldest first."""
        return [_account(row) for row in self._transact(lambda: self._connection.rows(sql.LIST_ACCOUNTS))]

    def account(self, account_id: str) -> AccountView | None:
        """One account; None when there is none of that id."""
        rows = self._transact(lambda: self._connection.rows(sql.FIND_ACCOUNT, {"id": account_id}))
        return _account(rows[0]) if rows else None

    def set_limits(self, account_id: str, limits: Limits) -> AccountView | None:
        """Change the limits of an account; servers follow at once."""

        def change() -> None:
            self._connection.run(sql.SET_ACCOUNT_LIMITS, {"id": account_id, "limits": encode_limits(limits)})
            self._connection.run(sql.RAISE_KEYS_VERSION)

        if self.account(account_id) is None:
            return None
        with self._change("account.limits", account_id, limits=_shown_limits(limits)):
            self._transact(change)
        return self.account(account_id)

    def balance(self, account_id: str) -> Balance:
        """What an account has."""
        return self._transact(
            lambda: read_balance(
                self._connection,
                account_id,
                now_ms=self.now_ms(),
                default_currency=CURRENCIES[0],
                is_everything_free=False,
            )
        )

    def top_up(self, account_id: str, *, currency: str, micros: int, reference: str = "") -> Balance:
        """Add paid balance.

        Raises:
            InvalidParameter: no such account, currency or amount.
        """
        self._check_credit(account_id, currency, micros)
        reference = reference or self._new_id("pay")
        with self._change("account.top_up", account_id, currency=currency, micros=micros, reference=reference):
            self._apply(TopUp(account_id=account_id, currency=currency, micros=micros, reference=reference))
        return self.balance(account_id)

    def grant(self, account_id: str, *, currency: str, micros: int, expires_at_ms: int | None = None) -> Balance:
        """Give balance, which is spent before paid balance.

        Raises:
            InvalidParameter: no such account, currency or amount, or it would have expired already.
        """
        self._check_credit(account_id, currency, micros)
        if expires_at_ms is not None and expires_at_ms <= self.now_ms():
            raise InvalidParameter("The grant would have expired already.")
        grant = AddGrant(
            account_id=account_id,
            currency=currency,
            micros=micros,
            grant_id=self._new_id("grant"),
            expires_at_ms=expires_at_ms,
        )
        with self._change(
            "account.grant",
            account_id,
            currency=currency,
            micros=micros,
            grant_id=grant.grant_id,
            expires_at_ms=expires_at_ms,
        ):
            self._apply(grant)
        return self.balance(account_id)

    # --- keys

    def create_key(self, account_id: str, options: KeyOptions | None = None) -> NewKey:
        """Make a key. It can be read from the result and never again.

        Raises:
            InvalidParameter: no such account, the key would have expired already, or a name cannot be stored.
        """
        options = options or KeyOptions()
        if options.name:
            _check_name(options.name, "key")
        for model in options.allowed_models or ():
            if not is_model_name(model):
                raise InvalidParameter(f"A model's name must have at most {MAX_MODEL_NAME_CHARS} printable characters.")
        if self.account(account_id) is None:
            raise InvalidParameter(f"There is no account {account_id!r}.")
        now_ms = self.now_ms()
        if options.expires_at_ms is not None and options.expires_at_ms <= now_ms:
            raise InvalidParameter("The key would have expired already.")
        secret = new_secret(KEY_PREFIX, self._random_bytes)
        prefix, tail = shown_parts(secret)
        models = None if options.allowed_models is None else tuple(options.allowed_models)
        view = KeyView(
            id=self._new_id("key"),
            account_id=account_id,
            name=options.name,
            prefix=prefix,
            tail=tail,
            created_at_ms=now_ms,
            expires_at_ms=options.expires_at_ms,
            limits=options.limits,
            allowed_models=models,
        )
        row = {
            "id": view.id,
            "account_id": account_id,
            "name": view.name,
            "secret_hash": hash_secret(secret),
            "prefix": prefix,
            "tail": tail,
            "created_at_ms": now_ms,
            "expires_at_ms": options.expires_at_ms,
            "limits": encode_limits(options.limits),
            "allowed_models": None if models is None else json.dumps(models),
        }

        def insert() -> None:
            self._connection.run(sql.INSERT_KEY, row)
            self._connection.run(sql.RAISE_KEYS_VERSION)

        with self._change(
            "key.create",
            view.id,
            account_id=account_id,
            name=view.name,
            expires_at_ms=view.expires_at_ms,
            limits=_shown_limits(view.limits),
            allowed_models=models,
        ):
            self._transact(insert)
        return NewKey(view=view, secret=secret)

    def keys(self, account_id: str | None = None) -> list[KeyView]:
        """Keys, oldest first: of one account, or all."""
        rows = self._transact(lambda: self._connection.rows(sql.LIST_KEYS))
        return [_key(row) for row in rows if account_id is None or row[1] == account_id]

    def revoke_key(self, key_id: str) -> KeyView | None:
        """Make a key useless at once; None when there is none of that id. Revoking twice changes nothing."""

        def revoke() -> None:
            self._connection.run(sql.REVOKE_KEY, {"id": key_id, "now_ms": self.now_ms()})
            self._connection.run(sql.RAISE_KEYS_VERSION)

        known = self._find_key(key_id)
        if known is None:
            return None
        with self._change("key.revoke", key_id, account_id=known.account_id):
            self._transact(revoke)
        return self._find_key(key_id)

    # --- helpers

    def _find_key(self, key_id: str) -> KeyView | None:
        return next((key for key in self.keys() if key.id == key_id), None)

    def _change(self, action: str, target: str, **details: object) -> AbstractContextManager[None]:
        if self._audit is None:
            return contextlib.nullcontext()
        return self._audit.change(action, target=target, **details)

    def _check_credit(self, account_id: str, currency: str, micros: int) -> None:
        if currency not in CURRENCIES:
            raise InvalidParameter(f"The currency must be one of {', '.join(CURRENCIES)}.")
        if not 0 < micros < 10**15:
            raise InvalidParameter("The amount must be more than 0 and less than 1000000000.")
        if self.account(account_id) is None:
            raise InvalidParameter(f"There is no account {account_id!r}.")

    def _apply(self, operation: Operation[object]) -> None:
        try:
            outcome = run_batch(self._connection, [operation], now_ms=self.now_ms(), owner="")[0]
        except TransactionFailed as failure:
            raise StoreError("The books could not be written.", reason=str(failure)) from failure
        if outcome.error is not None:
            raise outcome.error

    def _transact(self, action: Callable[[], T]) -> T:
        try:
            self._connection.begin()
            try:
                result = action()
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise
        except TransactionFailed as failure:
            raise StoreError("The books could not be used.", reason=str(failure)) from failure
        return result

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self._random_bytes(8).hex()}"


def _check_name(name: str, kind: str) -> None:
    if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise InvalidParameter(f"The name of the {kind} must have 1 to {MAX_NAME_CHARACTERS} printable characters.")


def _shown_limits(limits: Limits) -> dict[str, int] | None:
    """The limits that are set; None where none is."""
    return {name: value for name, value in asdict(limits).items() if value is not None} or None


def _account(row: Row) -> AccountView:
    return AccountView(id=row[0], name=row[1], created_at_ms=row[2], limits=decode_limits(row[3]))


def _key(row: Row) -> KeyView:
    return KeyView(
        id=row[0],
        account_id=row[1],
        name=row[2],
        prefix=row[3],
        tail=row[4],
        created_at_ms=row[5],
        expires_at_ms=row[6],
        revoked_at_ms=row[7],
        limits=decode_limits(row[8]),
        allowed_models=None if row[9] is None else tuple(json.loads(row[9])),
    )
