"""Accounts and keys, as people and scripts manage them: made, listed, topped up, revoked.

Used by the command line and by the admin API, each with a connection of its own, while the server runs.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import TypeVar

from seekd.accounts.audit import AuditTrail
from seekd.accounts.balances import read_balance
from seekd.accounts.clock import DatabaseClock
from seekd.accounts.driver import Connection, Row, Statement, TransactionFailed
from seekd.accounts.keys import KEY_PREFIX, decode_limits, encode_limits, hash_secret, new_secret, shown_parts
from seekd.accounts.operations import AddGrant, TakeBack, TopUp
from seekd.accounts.settings import CURRENCIES
from seekd.accounts.statements import sql
from seekd.accounts.transaction import Operation, run_batch
from seekd.accounts.types import (
    MAX_MODEL_NAME_CHARS,
    NO_LIMITS,
    OPEN_ACCOUNT_ID,
    AccountView,
    Balance,
    KeyView,
    Limits,
    NewKey,
    is_model_name,
)
from seekd.config import suggest
from seekd.errors import InvalidParameter, SeekdError, StoreError

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

    An account is named by its id or its name; where there is none of either, `InvalidParameter` says so.

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
            if not self._transact(lambda: self._connection.run(sql["insert_account"], row)):
                raise InvalidParameter(f"There is an account {name!r} already.")
        return account

    def accounts(self) -> list[AccountView]:
        """All accounts, oldest first, that of open access last."""
        return [_account(row) for row in self._transact(lambda: self._connection.rows(sql["list_accounts"]))]

    def account(self, account: str) -> AccountView:
        """One account."""
        rows = self._transact(lambda: self._connection.rows(sql["find_account"], {"account": account}))
        if not rows:
            known = [name for view in self.accounts() for name in (view.name, view.id)]
            raise InvalidParameter(f"There is no account {account!r}{suggest(account, known)}")
        return _account(rows[0])

    def set_limits(self, account: str, limits: Limits) -> AccountView:
        """Change the limits of an account; servers follow at once."""
        account_id = self.account(account).id
        row = {"id": account_id, "limits": encode_limits(limits)}
        with self._change("account.limits", account_id, limits=_shown_limits(limits)):
            self._transact(lambda: self._run_and_tell(sql["set_account_limits"], row))
        return self.account(account_id)

    def rename(self, account: str, name: str) -> AccountView:
        """Give an account another name. Raises `InvalidParameter` as `create_account` does."""
        _check_name(name, "account")
        account_id = self._own_account(account).id
        with self._change("account.rename", account_id, name=name):
            if not self._transact(
                lambda: self._connection.run(sql["rename_account"], {"id": account_id, "name": name})
            ):
                raise InvalidParameter(f"There is an account {name!r} already.")
        return self.account(account_id)

    def disable(self, account: str) -> AccountView:
        """Let no key of an account work, at once, until it is enabled. Requests that run end as they would."""
        view = self._own_account(account)
        return self._set_disabled(view, view.disabled_at_ms or self.now_ms())

    def enable(self, account: str) -> AccountView:
        """Let the keys of a disabled account work again."""
        return self._set_disabled(self.account(account), None)

    def balance(self, account: str) -> Balance:
        """What an account has."""
        account_id = self.account(account).id
        return self._transact(
            lambda: read_balance(
                self._connection,
                account_id,
                now_ms=self.now_ms(),
                default_currency=CURRENCIES[0],
                is_everything_free=False,
            )
        )

    def top_up(self, account: str, *, currency: str, micros: int, reference: str = "") -> Balance:
        """Add paid balance.

        Raises:
            InvalidParameter: no such account, currency or amount.
        """
        account_id = self._credited(account, currency, micros)
        reference = reference or self._new_id("pay")
        with self._change("account.top_up", account_id, currency=currency, micros=micros, reference=reference):
            self._apply(TopUp(account_id=account_id, currency=currency, micros=micros, reference=reference))
        return self.balance(account_id)

    def take_back(self, account: str, *, currency: str, micros: int, reference: str = "") -> Balance:
        """Take paid balance away by a counter-entry; the ledger keeps the wrong top-up as well.

        Raises:
            InvalidParameter: no such account, currency or amount, or less than that is left.
        """
        account_id = self._credited(account, currency, micros)
        reference = reference or self._new_id("back")
        with self._change("account.take_back", account_id, currency=currency, micros=micros, reference=reference):
            self._apply(TakeBack(account_id=account_id, currency=currency, micros=micros, reference=reference))
        return self.balance(account_id)

    def grant(self, account: str, *, currency: str, micros: int, expires_at_ms: int | None = None) -> Balance:
        """Give balance, which is spent before paid balance.

        Raises:
            InvalidParameter: no such account, currency or amount, or it would have expired already.
        """
        account_id = self._credited(account, currency, micros)
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

    def create_key(self, account: str, options: KeyOptions | None = None) -> NewKey:
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
        account_id = self.account(account).id
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

        with self._change(
            "key.create",
            view.id,
            account_id=account_id,
            name=view.name,
            expires_at_ms=view.expires_at_ms,
            limits=_shown_limits(view.limits),
            allowed_models=models,
        ):
            self._transact(lambda: self._run_and_tell(sql["insert_key"], row))
        return NewKey(view=view, secret=secret)

    def keys(self, account: str | None = None) -> list[KeyView]:
        """Keys, oldest first: of one account, or all."""
        account_id = None if account is None else self.account(account).id
        rows = self._transact(lambda: self._connection.rows(sql["list_keys"]))
        return [_key(row) for row in rows if account_id is None or row[1] == account_id]

    def revoke_key(self, key_id: str) -> KeyView | None:
        """Make a key useless at once; None when there is none of that id. Revoking twice changes nothing."""
        known = self._find_key(key_id)
        if known is None:
            return None
        with self._change("key.revoke", key_id, account_id=known.account_id):
            row = {"id": key_id, "now_ms": self.now_ms()}
            self._transact(lambda: self._run_and_tell(sql["revoke_key"], row))
        return self._find_key(key_id)

    # --- helpers

    def _own_account(self, account: str) -> AccountView:
        """An account that is not that of open access."""
        view = self.account(account)
        if view.id == OPEN_ACCOUNT_ID:
            raise InvalidParameter("The account of open access stays as it is; making a key ends open access.")
        return view

    def _set_disabled(self, view: AccountView, disabled_at_ms: int | None) -> AccountView:
        row = {"id": view.id, "disabled_at_ms": disabled_at_ms}
        with self._change("account.enable" if disabled_at_ms is None else "account.disable", view.id):
            self._transact(lambda: self._run_and_tell(sql["set_disabled"], row))
        return self.account(view.id)

    def _run_and_tell(self, command: Statement, row: Mapping[str, object]) -> None:
        """Run a command after which servers must read keys anew."""
        self._connection.run(command, row)
        self._connection.run(sql["raise_keys_version"])

    def _find_key(self, key_id: str) -> KeyView | None:
        return next((key for key in self.keys() if key.id == key_id), None)

    def _change(self, action: str, target: str, **details: object) -> AbstractContextManager[None]:
        if self._audit is None:
            return contextlib.nullcontext()
        return self._audit.change(action, target=target, **details)

    def _credited(self, account: str, currency: str, micros: int) -> str:
        """The id of an account that may get, or give, an amount."""
        if currency not in CURRENCIES:
            raise InvalidParameter(f"The currency must be one of {', '.join(CURRENCIES)}.")
        if not 0 < micros < 10**15:
            raise InvalidParameter("The amount must be more than 0 and less than 1000000000.")
        return self.account(account).id

    def _apply(self, operation: Operation[object]) -> None:
        try:
            result = run_batch(self._connection, [operation], now_ms=self.now_ms(), owner="")[0]
        except TransactionFailed as failure:
            raise StoreError("The books could not be written.", reason=str(failure)) from failure
        if isinstance(result, SeekdError):
            raise result

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
    return AccountView(
        id=row[0], name=row[1], created_at_ms=row[2], limits=decode_limits(row[3]), disabled_at_ms=row[4]
    )


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
