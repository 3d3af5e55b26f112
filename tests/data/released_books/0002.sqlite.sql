CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE versions (
	name TEXT NOT NULL,
	version BIGINT NOT NULL,
	CONSTRAINT pk_versions PRIMARY KEY (name)
);
CREATE TABLE accounts (
	id TEXT NOT NULL,
	name TEXT NOT NULL,
	created_at_ms BIGINT NOT NULL,
	limits TEXT, disabled_at_ms BIGINT,
	CONSTRAINT pk_accounts PRIMARY KEY (id),
	CONSTRAINT uq_accounts_name UNIQUE (name)
);
CREATE TABLE api_keys (
	id TEXT NOT NULL,
	account_id TEXT NOT NULL,
	name TEXT NOT NULL,
	secret_hash BLOB NOT NULL,
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
CREATE TABLE pools (
	account_id TEXT NOT NULL,
	currency TEXT NOT NULL,
	topped_up_micros BIGINT NOT NULL,
	granted_micros BIGINT NOT NULL,
	held_micros BIGINT NOT NULL,
	last_seq BIGINT NOT NULL,
	last_digest BLOB NOT NULL,
	CONSTRAINT pk_pools PRIMARY KEY (account_id, currency),
	CONSTRAINT fk_pools_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
	CONSTRAINT ck_pools_not_negative CHECK (topped_up_micros >= 0 AND granted_micros >= 0),
	CONSTRAINT ck_pools_holds_covered CHECK (held_micros >= 0 AND held_micros <= topped_up_micros + granted_micros)
);
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
CREATE INDEX ix_grants_account_id ON grants (account_id);
CREATE TABLE ledger (
	id INTEGER NOT NULL,
	account_id TEXT NOT NULL,
	currency TEXT NOT NULL,
	seq BIGINT NOT NULL,
	kind TEXT NOT NULL,
	source TEXT NOT NULL,
	target TEXT NOT NULL,
	micros BIGINT NOT NULL,
	reference TEXT NOT NULL,
	at_ms BIGINT NOT NULL,
	digest BLOB NOT NULL,
	CONSTRAINT pk_ledger PRIMARY KEY (id),
	CONSTRAINT uq_ledger_account_id_currency_seq UNIQUE (account_id, currency, seq),
	CONSTRAINT ck_ledger_moves_something CHECK (micros > 0)
);
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
)
 WITHOUT ROWID

;
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
CREATE INDEX ix_usage_account_id_at_ms ON usage (account_id, at_ms);
CREATE INDEX ix_usage_at_ms ON usage (at_ms);
CREATE TABLE idempotency (
	account_id TEXT NOT NULL,
	idempotency_key TEXT NOT NULL,
	body_hash BLOB NOT NULL,
	request_id TEXT NOT NULL,
	owner TEXT NOT NULL,
	created_at_ms BIGINT NOT NULL,
	expires_at_ms BIGINT NOT NULL,
	status INTEGER,
	headers TEXT,
	body BLOB,
	CONSTRAINT pk_idempotency PRIMARY KEY (account_id, idempotency_key)
);
CREATE INDEX ix_idempotency_expires_at_ms ON idempotency (expires_at_ms);
CREATE TABLE owners (
	id TEXT NOT NULL,
	started_at_ms BIGINT NOT NULL,
	seen_at_ms BIGINT NOT NULL,
	CONSTRAINT pk_owners PRIMARY KEY (id)
);
CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger: rows are never changed'); END;
CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'ledger: rows are never changed'); END;
CREATE TRIGGER api_keys_no_delete BEFORE DELETE ON api_keys
BEGIN SELECT RAISE(ABORT, 'api_keys: rows are never changed'); END;
INSERT INTO alembic_version VALUES ('0002');
