"""The books as first released.

Revision: 0001, after nothing. There is no way back: a downgrade would lose money, so restore a backup instead.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY_SQLITE = """
CREATE TRIGGER {table}_no_{verb} BEFORE {VERB} ON {table}
BEGIN SELECT RAISE(ABORT, '{table}: rows are never changed'); END
"""
_REFUSE_POSTGRESQL = """
CREATE FUNCTION seekd_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%: rows are never changed', TG_TABLE_NAME; END $$
"""
_APPEND_ONLY_POSTGRESQL = """
CREATE TRIGGER {table}_append_only BEFORE {verbs} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION seekd_refuse()
"""


def upgrade() -> None:
    """Create every table, the account of open access, and the triggers that keep the ledger append-only."""
    _create_callers()
    _create_money()
    _create_requests()
    _create_triggers(op.get_bind().dialect.name)
    op.execute("INSERT INTO versions (name, version) VALUES ('keys', 0)")
    op.execute(
        f"INSERT INTO accounts (id, name, created_at_ms) VALUES ('open', 'open', {int(time.time() * 1000)})"  # noqa: S608 - a number
    )


def _create_callers() -> None:
    op.create_table(
        "versions",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_versions"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("limits", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("tail", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.Column("revoked_at_ms", sa.BigInteger),
        sa.Column("limits", sa.Text),
        sa.Column("allowed_models", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("secret_hash", name="uq_api_keys_secret_hash"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_api_keys_account_id"),
    )


def _create_money() -> None:
    op.create_table(
        "pools",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("topped_up_micros", sa.BigInteger, nullable=False),
        sa.Column("granted_micros", sa.BigInteger, nullable=False),
        sa.Column("held_micros", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("last_digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "currency", name="pk_pools"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_pools_account_id"),
        # The database's own guard: no code path, present or future, can overspend.
        sa.CheckConstraint("topped_up_micros >= 0 AND granted_micros >= 0", name="ck_pools_not_negative"),
        sa.CheckConstraint(
            "held_micros >= 0 AND held_micros <= topped_up_micros + granted_micros", name="ck_pools_holds_covered"
        ),
    )
    op.create_table(
        "grants",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("granted_micros", sa.BigInteger, nullable=False),
        sa.Column("remaining_micros", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_grants_account_id"),
        sa.CheckConstraint("remaining_micros >= 0 AND remaining_micros <= granted_micros", name="ck_grants_remaining"),
    )
    op.create_index("ix_grants_account_id", "grants", ["account_id"])
    op.create_table(
        "ledger",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("micros", sa.BigInteger, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
        sa.UniqueConstraint("account_id", "currency", "seq", name="uq_ledger_account_id_currency_seq"),
        sa.CheckConstraint("micros > 0", name="ck_ledger_moves_something"),
    )


def _create_requests() -> None:
    op.create_table(
        "holds",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("held_micros", sa.BigInteger, nullable=False),
        sa.Column("hit_micros", sa.BigInteger, nullable=False),
        sa.Column("miss_micros", sa.BigInteger, nullable=False),
        sa.Column("output_micros", sa.BigInteger, nullable=False),
        sa.Column("is_retry_safe", sa.Integer, nullable=False),
        sa.Column("reserved_at_ms", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("progress", sa.Text),
        sa.PrimaryKeyConstraint("request_id", name="pk_holds"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage",
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("is_error", sa.Integer, nullable=False),
        sa.Column("is_recovered", sa.Integer, nullable=False),
        sa.Column("num_hit_tokens", sa.BigInteger, nullable=False),
        sa.Column("num_miss_tokens", sa.BigInteger, nullable=False),
        sa.Column("num_completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("num_reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("cost_micros", sa.BigInteger, nullable=False),
        sa.Column("granted_micros", sa.BigInteger, nullable=False),
        sa.Column("topped_up_micros", sa.BigInteger, nullable=False),
        sa.Column("uncollected_micros", sa.BigInteger, nullable=False),
        sa.Column("first_token_ms", sa.Float),
        sa.Column("latency_ms", sa.Float),
        sa.PrimaryKeyConstraint("request_id", name="pk_usage"),
    )
    op.create_index("ix_usage_account_id_at_ms", "usage", ["account_id", "at_ms"])
    op.create_index("ix_usage_at_ms", "usage", ["at_ms"])
    op.create_table(
        "idempotency",
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("idempotency_key", sa.Text, nullable=False),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("headers", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.PrimaryKeyConstraint("account_id", "idempotency_key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at_ms", "idempotency", ["expires_at_ms"])
    op.create_table(
        "owners",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("started_at_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_owners"),
    )


def _create_triggers(dialect: str) -> None:
    if dialect == "sqlite":
        for table, verbs in (("ledger", ("update", "delete")), ("api_keys", ("delete",))):
            for verb in verbs:
                op.execute(_APPEND_ONLY_SQLITE.format(table=table, verb=verb, VERB=verb.upper()))
    else:
        op.execute(_REFUSE_POSTGRESQL)
        op.execute(_APPEND_ONLY_POSTGRESQL.format(table="ledger", verbs="UPDATE OR DELETE OR TRUNCATE"))
        op.execute(_APPEND_ONLY_POSTGRESQL.format(table="api_keys", verbs="DELETE OR TRUNCATE"))
