"""API keys and the admin token: making them, reading them from headers, checking them.

A key is 128 random bits, so its SHA-256 cannot be guessed back and a slow password hash would only cost every request
time. Nothing else about a key is stored but its first and last characters.

`KeyRing` caches callers. Each lookup first compares one number in the database, which every change of a key raises in
the transaction that makes it: a key that any process revoked is refused by the next request that is checked, and a
reservation checks the key again inside its own transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from seekd.accounts.driver import Connection, Row
from seekd.accounts.statements import sql
from seekd.accounts.types import NO_LIMITS, OPEN_ACCOUNT_ID, Caller, Limits
from seekd.errors import ConfigError, Unauthenticated

KEY_PREFIX = "sk-"
ADMIN_PREFIX = "adm-"
_SHOWN_CHARACTERS = 7  # "sk-" and four more: enough to find a key in a list, far too few to guess it
_MAX_KEY_CHARACTERS = 256  # a longer one is not worth hashing
_MAX_CACHED = 10_000

OPEN_CALLER = Caller(account_id=OPEN_ACCOUNT_ID, key_id=None, key_prefix="", name="open", is_open=True)


def new_secret(prefix: str, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A new key: the prefix and 32 hexadecimal digits."""
    return prefix + random_bytes(16).hex()


def hash_secret(secret: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def shown_parts(secret: str) -> tuple[str, str]:
    """The first and the last characters of a key, which lists may show."""
    return secret[:_SHOWN_CHARACTERS], secret[-4:]


def bearer_key(authorization: str | None, x_api_key: str | None = None) -> str | None:
    """The key in a request's headers; None when there is none.

    `Authorization` wins; a header of another scheme, or without a key, is none.
    """
    scheme, _, key = (authorization or "").strip().partition(" ")
    key = key.strip()
    if scheme.lower() == "bearer" and key:
        return key
    return (x_api_key or "").strip() or None


def encode_limits(limits: Limits) -> str | None:
    """Limits as they are stored."""
    return None if limits.is_unlimited else json.dumps(asdict(limits))


def decode_limits(text: str | None) -> Limits:
    """Limits from the database."""
    return NO_LIMITS if text is None else Limits(**json.loads(text))


class KeyRing:
    """Who calls, cached until a key changes. Used by one thread."""

    def __init__(self, *, allows_open: bool) -> None:
        self._allows_open = allows_open
        self._version: int | None = None
        self._any_key_ever = False
        self._callers: OrderedDict[bytes, tuple[bytes, Caller]] = OrderedDict()

    def any_key_ever(self, connection: Connection) -> bool:
        """Whether a key exists or has existed."""
        self._refresh(connection)
        return self._any_key_ever

    def is_open(self, connection: Connection) -> bool:
        """Whether no key is asked for now."""
        return self._allows_open and not self.any_key_ever(connection)

    def authenticate(self, connection: Connection, key: str | None, *, now_ms: int) -> Caller:
        """Who holds this key.

        Raises:
            Unauthenticated: no key, or none that works.
            TransactionFailed: the database is away.
        """
        self._refresh(connection)
        if self._allows_open and not self._any_key_ever:
            return OPEN_CALLER
        if key is None or len(key) > _MAX_KEY_CHARACTERS:
            raise Unauthenticated(key_tail=None if key is None else key[-4:])
        secret_hash = hash_secret(key)
        cached = self._callers.get(secret_hash)
        if cached is None:
            cached = self._find(connection, secret_hash)
            if cached is None:
                raise Unauthenticated(key_tail=key[-4:])
        stored, caller = cached
        is_expired = caller.expires_at_ms is not None and caller.expires_at_ms <= now_ms
        if is_expired or not hmac.compare_digest(stored, secret_hash):
            raise Unauthenticated(key_tail=key[-4:])
        return caller

    def _refresh(self, connection: Connection) -> None:
        version: int = connection.rows(sql["keys_version"])[0][0]
        if version != self._version:
            self._callers.clear()
            self._any_key_ever = bool(connection.rows(sql["any_key_ever"]))
            self._version = version

    def _find(self, connection: Connection, secret_hash: bytes) -> tuple[bytes, Caller] | None:
        rows = connection.rows(sql["find_key"], {"secret_hash": secret_hash})
        if not rows or rows[0][6] is not None or rows[0][10] is not None:  # revoked, or its account is disabled
            return None
        found = (bytes(rows[0][4]), _caller(rows[0]))
        self._callers[secret_hash] = found
        if len(self._callers) > _MAX_CACHED:
            self._callers.popitem(last=False)
        return found


class AdminToken:
    """What `/admin` asks for."""

    def __init__(self, token: str) -> None:
        self._hash = hash_secret(token)

    def matches(self, key: str | None) -> bool:
        """Whether a request carries the token, in constant time."""
        return key is not None and hmac.compare_digest(self._hash, hash_secret(key))


def load_admin_token(path: Path) -> AdminToken:
    """Read the admin token, or make it at the first start (mode 0600).

    Raises:
        ConfigError: the file cannot be read or written, is empty, or can be read by other users.
    """
    try:
        _create_token(path)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"The admin token {path} can be read by other users: chmod 600 it, or delete it.")
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The admin token {path} cannot be read or made: {error}.") from error
    if len(token) < len(ADMIN_PREFIX) + 16:
        raise ConfigError(f"The admin token {path} is empty or too short: delete it, and the next start makes one.")
    return AdminToken(token)


def _create_token(path: Path) -> None:
    if path.exists():
        return
    # Written under another name first, so that nobody ever reads half of it.
    draft = path.with_suffix(f".{os.getpid()}.new")
    with open(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - a descriptor, for its mode
        file.write(new_secret(ADMIN_PREFIX) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails when another process was first; its token counts
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _caller(row: Row) -> Caller:
    return Caller(
        key_id=row[0],
        account_id=row[1],
        name=row[2],
        key_prefix=row[3],
        expires_at_ms=row[5],
        key_limits=decode_limits(row[7]),
        allowed_models=None if row[8] is None else frozenset(json.loads(row[8])),
        account_limits=decode_limits(row[9]),
    )
