-- Every statement of the books but the usage reports, which are put together in ../reports.py.
--
-- The form of this file, and the words that differ between SQLite and PostgreSQL, are explained in ../statements.py.


-- ===== the schema

-- schema_version --
-- The table has the name that Alembic gave it, which made the books until 0001.
SELECT version_num FROM alembic_version;

-- create_schema_version --
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- delete_schema_version --
DELETE FROM alembic_version;

-- insert_schema_version --
INSERT INTO alembic_version (version_num) VALUES (:version);

-- wait_without_limit (postgresql) --
-- A migration may rewrite a large table; the limits of the connection are for requests.
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true);

-- lock_schema (postgresql) --
-- Lets one process migrate at a time, until its transaction ends. The number is any, the same in every seekd.
SELECT pg_advisory_xact_lock(1592578049);


-- ===== the clock

-- database_time_ms (postgresql) --
SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT);


-- ===== who may call

-- keys_version --
SELECT version FROM versions WHERE name = 'keys';

-- raise_keys_version --
-- Every change of keys or of an account's limits raises it, in the same transaction; servers compare it at each request.
UPDATE versions SET version = version + 1 WHERE name = 'keys';

-- any_key_ever --
SELECT 1 FROM api_keys LIMIT 1;

-- find_key --
SELECT k.id, k.account_id, k.name, k.prefix, k.secret_hash, k.expires_at_ms, k.revoked_at_ms, k.limits,
       k.allowed_models, a.limits, a.disabled_at_ms
FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.secret_hash = :secret_hash;

-- working_keys --
-- What a reservation needs to know of its key: read in the same transaction, so that no revoked key is ever served.
SELECT k.id FROM api_keys k JOIN accounts a ON a.id = k.account_id
WHERE k.id IN_LIST(:ids) AND k.revoked_at_ms IS NULL AND (k.expires_at_ms IS NULL OR k.expires_at_ms > :now_ms)
      AND a.disabled_at_ms IS NULL;

-- insert_key --
INSERT INTO api_keys (id, account_id, name, secret_hash, prefix, tail, created_at_ms, expires_at_ms, revoked_at_ms,
                      limits, allowed_models)
VALUES (:id, :account_id, :name, :secret_hash, :prefix, :tail, :created_at_ms, :expires_at_ms, NULL, :limits,
        :allowed_models);

-- revoke_key --
UPDATE api_keys SET revoked_at_ms = :now_ms WHERE id = :id AND revoked_at_ms IS NULL;

-- list_keys --
SELECT id, account_id, name, prefix, tail, created_at_ms, expires_at_ms, revoked_at_ms, limits, allowed_models
FROM api_keys ORDER BY created_at_ms, id;


-- ===== accounts

-- insert_account --
-- Changes no row when the name is taken.
INSERT INTO accounts (id, name, created_at_ms, limits) VALUES (:id, :name, :created_at_ms, :limits)
ON CONFLICT (name) DO NOTHING;

-- list_accounts --
-- The account of open access comes last: whoever takes the first one and makes a key for it would close the server.
SELECT id, name, created_at_ms, limits, disabled_at_ms FROM accounts
ORDER BY CASE WHEN id = 'open' THEN 1 ELSE 0 END, created_at_ms, id;

-- find_account --
-- By id or by name; an id wins over a name that looks like it.
SELECT id, name, created_at_ms, limits, disabled_at_ms FROM accounts WHERE id = :account OR name = :account
ORDER BY CASE WHEN id = :account THEN 0 ELSE 1 END;

-- rename_account --
-- Changes no row when another account has the name.
UPDATE accounts SET name = :name
WHERE id = :id AND NOT EXISTS (SELECT 1 FROM accounts other WHERE other.name = :name AND other.id <> :id);

-- set_disabled --
UPDATE accounts SET disabled_at_ms = :disabled_at_ms WHERE id = :id;

-- set_account_limits --
UPDATE accounts SET limits = :limits WHERE id = :id;


-- ===== money

-- lock_pools --
-- Rows are locked in one order everywhere, so that gateways that share a database cannot block each other for good.
SELECT account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest
FROM pools WHERE account_id IN_LIST(:account_ids) ORDER BY account_id, currency FOR UPDATE;

-- read_pools --
SELECT account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest
FROM pools WHERE account_id = :account_id ORDER BY currency;

-- grants_left --
SELECT account_id, currency, id, remaining_micros, expires_at_ms
FROM grants WHERE account_id IN_LIST(:account_ids) AND remaining_micros > 0;

-- create_pool --
INSERT INTO pools (account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest)
VALUES (:account_id, :currency, 0, 0, 0, 0, :last_digest) ON CONFLICT (account_id, currency) DO NOTHING;

-- update_pool --
UPDATE pools SET topped_up_micros = :topped_up_micros, granted_micros = :granted_micros, held_micros = :held_micros,
                 last_seq = :last_seq, last_digest = :last_digest
WHERE account_id = :account_id AND currency = :currency;

-- update_pool (together) --
UPDATE pools p SET topped_up_micros = r.topped_up_micros, granted_micros = r.granted_micros,
                   held_micros = r.held_micros, last_seq = r.last_seq, last_digest = r.last_digest
FROM json_populate_recordset(NULL::pools, CAST(:rows AS json)) r
WHERE p.account_id = r.account_id AND p.currency = r.currency;

-- insert_grant --
INSERT INTO grants ROWS(id, account_id, currency, granted_micros, remaining_micros, created_at_ms, expires_at_ms);

-- update_grant --
UPDATE grants SET remaining_micros = :remaining_micros WHERE id = :id;

-- update_grant (together) --
UPDATE grants g SET remaining_micros = r.remaining_micros
FROM json_populate_recordset(NULL::grants, CAST(:rows AS json)) r WHERE g.id = r.id;

-- insert_ledger --
INSERT INTO ledger ROWS(account_id, currency, seq, kind, source, target, micros, reference, at_ms, digest);


-- ===== running requests

-- find_holds --
SELECT request_id, account_id, key_id, model, currency, held_micros, hit_micros, miss_micros, output_micros,
       is_retry_safe, reserved_at_ms, owner, progress
FROM holds WHERE request_id IN_LIST(:request_ids);

-- holds_of_others --
-- What servers have left that were not seen for the length of a lease.
SELECT request_id, account_id FROM holds
WHERE owner <> :owner AND owner NOT IN (SELECT id FROM owners WHERE seen_at_ms >= :alive_since_ms);

-- insert_hold --
INSERT INTO holds ROWS(request_id, account_id, key_id, model, currency, held_micros, hit_micros, miss_micros,
                       output_micros, is_retry_safe, reserved_at_ms, owner, progress);

-- delete_hold --
DELETE FROM holds WHERE request_id = :request_id;

-- delete_hold (together) --
DELETE FROM holds h USING json_populate_recordset(NULL::holds, CAST(:rows AS json)) r
WHERE h.request_id = r.request_id;

-- take_holds --
UPDATE holds SET owner = :owner WHERE request_id IN_LIST(:request_ids);

-- set_progress --
UPDATE holds SET progress = :progress WHERE request_id = :request_id;


-- ===== what was used

-- find_usage --
SELECT request_id, currency, cost_micros, granted_micros, topped_up_micros, uncollected_micros, is_recovered
FROM usage WHERE request_id IN_LIST(:request_ids);

-- insert_usage --
INSERT INTO usage ROWS(request_id, account_id, key_id, model, at_ms, outcome, is_error, is_recovered, num_hit_tokens,
                       num_miss_tokens, num_completion_tokens, num_reasoning_tokens, currency, cost_micros,
                       granted_micros, topped_up_micros, uncollected_micros, first_token_ms, latency_ms);

-- delete_recovered_usage --
-- Only a recovered request is written again: its gateway was thought dead and then settled after all.
DELETE FROM usage WHERE request_id = :request_id AND is_recovered = 1;


-- ===== gateways

-- last_seen --
SELECT seen_at_ms FROM owners WHERE id = :id;

-- see_owner --
INSERT INTO owners (id, started_at_ms, seen_at_ms) VALUES (:id, :now_ms, :now_ms)
ON CONFLICT (id) DO UPDATE SET seen_at_ms = :now_ms;

-- forget_owners --
DELETE FROM owners WHERE seen_at_ms < :before_ms;


-- ===== idempotency

-- read_claim --
SELECT body_hash, request_id, owner, expires_at_ms, status, headers, body
FROM idempotency WHERE account_id = :account_id AND idempotency_key = :idempotency_key;

-- lock_claim --
SELECT body_hash, request_id, owner, expires_at_ms, status, headers, body
FROM idempotency WHERE account_id = :account_id AND idempotency_key = :idempotency_key FOR UPDATE;

-- insert_claim --
INSERT INTO idempotency (account_id, idempotency_key, body_hash, request_id, owner, created_at_ms, expires_at_ms,
                         status, headers, body)
VALUES (:account_id, :idempotency_key, :body_hash, :request_id, :owner, :now_ms, :expires_at_ms, NULL, NULL, NULL)
ON CONFLICT (account_id, idempotency_key) DO NOTHING;

-- answer_claim --
UPDATE idempotency SET status = :status, headers = :headers, body = :body, expires_at_ms = :expires_at_ms
WHERE account_id = :account_id AND idempotency_key = :idempotency_key AND request_id = :request_id;

-- delete_claim --
DELETE FROM idempotency
WHERE account_id = :account_id AND idempotency_key = :idempotency_key AND request_id = :request_id;

-- forget_claims --
DELETE FROM idempotency WHERE expires_at_ms < :now_ms AND status IS NOT NULL;

-- forget_dead_claims --
DELETE FROM idempotency WHERE status IS NULL AND owner <> :owner
AND owner NOT IN (SELECT id FROM owners WHERE seen_at_ms >= :alive_since_ms);


-- ===== `seekd ledger verify`

-- all_pools --
SELECT account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest
FROM pools ORDER BY account_id, currency;

-- ledger_of_pool --
SELECT seq, kind, source, target, micros, reference, at_ms, digest
FROM ledger WHERE account_id = :account_id AND currency = :currency ORDER BY seq;

-- ledger_without_pool --
SELECT DISTINCT l.account_id, l.currency FROM ledger l
LEFT JOIN pools p ON p.account_id = l.account_id AND p.currency = l.currency WHERE p.account_id IS NULL;

-- grants_of_pool --
SELECT id, remaining_micros FROM grants WHERE account_id = :account_id AND currency = :currency;

-- held_of_pool --
SELECT COALESCE(SUM(held_micros), 0) FROM holds WHERE account_id = :account_id AND currency = :currency;

-- charges_of_pool --
SELECT request_id, cost_micros FROM usage
WHERE account_id = :account_id AND currency = :currency AND cost_micros > 0;
