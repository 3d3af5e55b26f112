"""The schema of the books, as the newest migration leaves it.

Used by migrations and by the test that compares both; the running server never imports it.

Amounts are micro-units, instants are milliseconds since 1970 in UTC, flags are 0 or 1.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SERIAL = BigInteger().with_variant(Integer, "sqlite")

# One row: every change of keys or account limits raises `version`, and servers compare it at each request.
versions = Table(
    "versions", metadata, Column("name", Text, primary_key=True), Column("version", BigInteger, nullable=False)
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("limits", Text),
    Column("disabled_at_ms", BigInteger),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    Column("tail", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("limits", Text),
    Column("allowed_models", Text),
)

# What an account has in one currency; the ledger replays to it.
pools = Table(
    "pools",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("topped_up_micros", BigInteger, nullable=False),
    Column("granted_micros", BigInteger, nullable=False),
    Column("held_micros", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_digest", LargeBinary, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("currency", Text, nullable=False),
    Column("granted_micros", BigInteger, nullable=False),
    Column("remaining_micros", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
)

# Requests that run now.
holds = Table(
    "holds",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("key_id", Text),
    Column("model", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("held_micros", BigInteger, nullable=False),
    Column("hit_micros", BigInteger, nullable=False),
    Column("miss_micros", BigInteger, nullable=False),
    Column("output_micros", BigInteger, nullable=False),
    Column("is_retry_safe", Integer, nullable=False),
    Column("reserved_at_ms", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("progress", Text),
)

# Double entry: each row takes `micros` from the book `source` and adds them to the book `target`. Triggers refuse
# every UPDATE and DELETE; `digest` chains each row to the one before it of the same account and currency.
ledger = Table(
    "ledger",
    metadata,
    Column("id", _SERIAL, primary_key=True, autoincrement=True),
    Column("account_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("micros", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    UniqueConstraint("account_id", "currency", "seq"),
)

# One row for each request that was settled.
usage = Table(
    "usage",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("key_id", Text),
    Column("model", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("is_error", Integer, nullable=False),
    Column("is_recovered", Integer, nullable=False),
    Column("num_hit_tokens", BigInteger, nullable=False),
    Column("num_miss_tokens", BigInteger, nullable=False),
    Column("num_completion_tokens", BigInteger, nullable=False),
    Column("num_reasoning_tokens", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("granted_micros", BigInteger, nullable=False),
    Column("topped_up_micros", BigInteger, nullable=False),
    Column("uncollected_micros", BigInteger, nullable=False),
    Column("first_token_ms", Float),
    Column("latency_ms", Float),
    Index(None, "account_id", "at_ms"),
    Index(None, "at_ms"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("body_hash", LargeBinary, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("status", Integer),
    Column("headers", Text),
    Column("body", LargeBinary),
    Index(None, "expires_at_ms"),
)

# Servers that use the books; one that was not seen for the length of a lease counts as dead.
owners = Table(
    "owners",
    metadata,
    Column("id", Text, primary_key=True),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
)
