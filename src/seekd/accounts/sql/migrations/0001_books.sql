-- The books as first released. There is no way back: a downgrade would lose money, so restore a backup instead.
--
-- The form of this file, and the words that differ between SQLite and PostgreSQL, are explained in ../../statements.py.
-- Amounts are micro-units, instants are milliseconds since 1970 in UTC, flags are 0 or 1.

-- versions --
-- One row: every change of keys or account limits raises `version`, and servers compare it at each request.
CREATE TABLE versions (
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT pk_versions PRIMARY KEY (name)
);

-- accounts --
CREATE TABLE accounts (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    limits TEXT,
    CONSTRAINT pk_accounts PRIMARY KEY (id),
    CONSTRAINT uq_accounts_name UNIQUE (name)
);

-- api_keys --
CREATE TABLE api_keys (
    id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret_hash BYTEA NOT NULL,
    prefix TEXT NOT NULL,
    tail TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT,
    revoked_at_ms BIGINT,
    limits TEXT,
    allowed_models TEXT,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT uq_api_keys_secret_hash UNIQUE (secret_hash),
    CONSTRAINT fk_api_keys_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

-- pools --
-- What an account has in one currency; the ledger replays to it. The constraints are the database's own guard: no code
-- path, present or future, can overspend.
CREATE TABLE pools (
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    topped_up_micros BIGINT NOT NULL,
    granted_micros BIGINT NOT NULL,
    held_micros BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    last_digest BYTEA NOT NULL,
    CONSTRAINT pk_pools PRIMARY KEY (account_id, currency),
    CONSTRAINT fk_pools_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT ck_pools_not_negative CHECK (topped_up_micros >= 0 AND granted_micros >= 0),
    CONSTRAINT ck_pools_holds_covered CHECK (held_micros >= 0 AND held_micros <= topped_up_micros + granted_micros)
);

-- grants --
CREATE TABLE grants (
    id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    granted_micros BIGINT NOT NULL,
    remaining_micros BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT,
    CONSTRAINT pk_grants PRIMARY KEY (id),
    CONSTRAINT fk_grants_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT ck_grants_remaining CHECK (remaining_micros >= 0 AND remaining_micros <= granted_micros)
);

-- ix_grants_account_id --
CREATE INDEX ix_grants_account_id ON grants (account_id);

-- ledger --
-- Double entry: each row takes `micros` from the book `source` and adds them to the book `target`. Triggers refuse every
-- UPDATE and DELETE; `digest` chains each row to the one before it of the same account and currency.
CREATE TABLE ledger (
    id BIGSERIAL NOT NULL,
    account_id TEXT NOT NULL,
    currency TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    micros BIGINT NOT NULL,
    reference TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    CONSTRAINT pk_ledger PRIMARY KEY (id),
    CONSTRAINT uq_ledger_account_id_currency_seq UNIQUE (account_id, currency, seq),
    CONSTRAINT ck_ledger_moves_something CHECK (micros > 0)
);

-- holds --
-- Requests that run now.
CREATE TABLE holds (
    request_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    key_id TEXT,
    model TEXT NOT NULL,
    currency TEXT NOT NULL,
    held_micros BIGINT NOT NULL,
    hit_micros BIGINT NOT NULL,
    miss_micros BIGINT NOT NULL,
    output_micros BIGINT NOT NULL,
    is_retry_safe INTEGER NOT NULL,
    reserved_at_ms BIGINT NOT NULL,
    owner TEXT NOT NULL,
    progress TEXT,
    CONSTRAINT pk_holds PRIMARY KEY (request_id)
) WITHOUT ROWID;

-- usage --
-- One row for each request that was settled.
CREATE TABLE usage (
    request_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    key_id TEXT,
    model TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    is_error INTEGER NOT NULL,
    is_recovered INTEGER NOT NULL,
    num_hit_tokens BIGINT NOT NULL,
    num_miss_tokens BIGINT NOT NULL,
    num_completion_tokens BIGINT NOT NULL,
    num_reasoning_tokens BIGINT NOT NULL,
    currency TEXT NOT NULL,
    cost_micros BIGINT NOT NULL,
    granted_micros BIGINT NOT NULL,
    topped_up_micros BIGINT NOT NULL,
    uncollected_micros BIGINT NOT NULL,
    first_token_ms FLOAT,
    latency_ms FLOAT,
    CONSTRAINT pk_usage PRIMARY KEY (request_id)
);

-- ix_usage_account_id_at_ms --
CREATE INDEX ix_usage_account_id_at_ms ON usage (account_id, at_ms);

-- ix_usage_at_ms --
CREATE INDEX ix_usage_at_ms ON usage (at_ms);

-- idempotency --
CREATE TABLE idempotency (
    account_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    request_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT NOT NULL,
    status INTEGER,
    headers TEXT,
    body BYTEA,
    CONSTRAINT pk_idempotency PRIMARY KEY (account_id, idempotency_key)
);

-- ix_idempotency_expires_at_ms --
CREATE INDEX ix_idempotency_expires_at_ms ON idempotency (expires_at_ms);

-- owners --
-- Servers that use the books; one that was not seen for the length of a lease counts as dead.
CREATE TABLE owners (
    id TEXT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    CONSTRAINT pk_owners PRIMARY KEY (id)
);

-- ledger_no_update (sqlite) --
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger: rows are never changed'); END;

-- ledger_no_delete (sqlite) --
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger: rows are never changed'); END;

-- api_keys_no_delete (sqlite) --
CREATE TRIGGER api_keys_no_delete BEFORE DELETE ON api_keys
BEGIN SELECT RAISE(ABORT, 'api_keys: rows are never changed'); END;

-- seekd_refuse (postgresql) --
CREATE FUNCTION seekd_refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%: rows are never changed', TG_TABLE_NAME; END $$;

-- ledger_append_only (postgresql) --
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
FOR EACH STATEMENT EXECUTE FUNCTION seekd_refuse();

-- api_keys_append_only (postgresql) --
CREATE TRIGGER api_keys_append_only BEFORE DELETE OR TRUNCATE ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION seekd_refuse();

-- first_version_of_keys --
INSERT INTO versions (name, version) VALUES ('keys', 0);

-- account_of_open_access (sqlite) --
INSERT INTO accounts (id, name, created_at_ms) VALUES ('open', 'open', CAST(strftime('%s', 'now') AS INTEGER) * 1000);

-- account_of_open_access (postgresql) --
INSERT INTO accounts (id, name, created_at_ms) VALUES ('open', 'open', CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT));
