CREATE FUNCTION seekd_refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION '%: rows are never changed', TG_TABLE_NAME; END $$;
CREATE TABLE accounts (
    id text NOT NULL,
    name text NOT NULL,
    created_at_ms bigint NOT NULL,
    limits text
);
CREATE TABLE alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE api_keys (
    id text NOT NULL,
    account_id text NOT NULL,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    prefix text NOT NULL,
    tail text NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint,
    revoked_at_ms bigint,
    limits text,
    allowed_models text
);
CREATE TABLE grants (
    id text NOT NULL,
    account_id text NOT NULL,
    currency text NOT NULL,
    granted_micros bigint NOT NULL,
    remaining_micros bigint NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint,
    CONSTRAINT ck_grants_remaining CHECK (((remaining_micros >= 0) AND (remaining_micros <= granted_micros)))
);
CREATE TABLE holds (
    request_id text NOT NULL,
    account_id text NOT NULL,
    key_id text,
    model text NOT NULL,
    currency text NOT NULL,
    held_micros bigint NOT NULL,
    hit_micros bigint NOT NULL,
    miss_micros bigint NOT NULL,
    output_micros bigint NOT NULL,
    is_retry_safe integer NOT NULL,
    reserved_at_ms bigint NOT NULL,
    owner text NOT NULL,
    progress text
);
CREATE TABLE idempotency (
    account_id text NOT NULL,
    idempotency_key text NOT NULL,
    body_hash bytea NOT NULL,
    request_id text NOT NULL,
    owner text NOT NULL,
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint NOT NULL,
    status integer,
    headers text,
    body bytea
);
CREATE TABLE ledger (
    id bigint NOT NULL,
    account_id text NOT NULL,
    currency text NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    target text NOT NULL,
    micros bigint NOT NULL,
    reference text NOT NULL,
    at_ms bigint NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT ck_ledger_moves_something CHECK ((micros > 0))
);
CREATE SEQUENCE ledger_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE ledger_id_seq OWNED BY ledger.id;
CREATE TABLE owners (
    id text NOT NULL,
    started_at_ms bigint NOT NULL,
    seen_at_ms bigint NOT NULL
);
CREATE TABLE pools (
    account_id text NOT NULL,
    currency text NOT NULL,
    topped_up_micros bigint NOT NULL,
    granted_micros bigint NOT NULL,
    held_micros bigint NOT NULL,
    last_seq bigint NOT NULL,
    last_digest bytea NOT NULL,
    CONSTRAINT ck_pools_holds_covered CHECK (((held_micros >= 0) AND (held_micros <= (topped_up_micros + granted_micros)))),
    CONSTRAINT ck_pools_not_negative CHECK (((topped_up_micros >= 0) AND (granted_micros >= 0)))
);
CREATE TABLE usage (
    request_id text NOT NULL,
    account_id text NOT NULL,
    key_id text,
    model text NOT NULL,
    at_ms bigint NOT NULL,
    outcome text NOT NULL,
    is_error integer NOT NULL,
    is_recovered integer NOT NULL,
    num_hit_tokens bigint NOT NULL,
    num_miss_tokens bigint NOT NULL,
    num_completion_tokens bigint NOT NULL,
    num_reasoning_tokens bigint NOT NULL,
    currency text NOT NULL,
    cost_micros bigint NOT NULL,
    granted_micros bigint NOT NULL,
    topped_up_micros bigint NOT NULL,
    uncollected_micros bigint NOT NULL,
    first_token_ms double precision,
    latency_ms double precision
);
CREATE TABLE versions (
    name text NOT NULL,
    version bigint NOT NULL
);
ALTER TABLE ONLY ledger ALTER COLUMN id SET DEFAULT nextval('ledger_id_seq'::regclass);
ALTER TABLE ONLY alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY accounts
    ADD CONSTRAINT pk_accounts PRIMARY KEY (id);
ALTER TABLE ONLY api_keys
    ADD CONSTRAINT pk_api_keys PRIMARY KEY (id);
ALTER TABLE ONLY grants
    ADD CONSTRAINT pk_grants PRIMARY KEY (id);
ALTER TABLE ONLY holds
    ADD CONSTRAINT pk_holds PRIMARY KEY (request_id);
ALTER TABLE ONLY idempotency
    ADD CONSTRAINT pk_idempotency PRIMARY KEY (account_id, idempotency_key);
ALTER TABLE ONLY ledger
    ADD CONSTRAINT pk_ledger PRIMARY KEY (id);
ALTER TABLE ONLY owners
    ADD CONSTRAINT pk_owners PRIMARY KEY (id);
ALTER TABLE ONLY pools
    ADD CONSTRAINT pk_pools PRIMARY KEY (account_id, currency);
ALTER TABLE ONLY usage
    ADD CONSTRAINT pk_usage PRIMARY KEY (request_id);
ALTER TABLE ONLY versions
    ADD CONSTRAINT pk_versions PRIMARY KEY (name);
ALTER TABLE ONLY accounts
    ADD CONSTRAINT uq_accounts_name UNIQUE (name);
ALTER TABLE ONLY api_keys
    ADD CONSTRAINT uq_api_keys_secret_hash UNIQUE (secret_hash);
ALTER TABLE ONLY ledger
    ADD CONSTRAINT uq_ledger_account_id_currency_seq UNIQUE (account_id, currency, seq);
CREATE INDEX ix_grants_account_id ON grants USING btree (account_id);
CREATE INDEX ix_idempotency_expires_at_ms ON idempotency USING btree (expires_at_ms);
CREATE INDEX ix_usage_account_id_at_ms ON usage USING btree (account_id, at_ms);
CREATE INDEX ix_usage_at_ms ON usage USING btree (at_ms);
CREATE TRIGGER api_keys_append_only BEFORE DELETE OR TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION seekd_refuse();
CREATE TRIGGER ledger_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION seekd_refuse();
ALTER TABLE ONLY api_keys
    ADD CONSTRAINT fk_api_keys_account_id FOREIGN KEY (account_id) REFERENCES accounts(id);
ALTER TABLE ONLY grants
    ADD CONSTRAINT fk_grants_account_id FOREIGN KEY (account_id) REFERENCES accounts(id);
ALTER TABLE ONLY pools
    ADD CONSTRAINT fk_pools_account_id FOREIGN KEY (account_id) REFERENCES accounts(id);
INSERT INTO alembic_version VALUES ('0001');
