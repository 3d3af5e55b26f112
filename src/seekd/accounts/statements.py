"""Every statement of the hot path and of the commands, by name.

Reports have theirs in `reports.py`.
"""

from __future__ import annotations

from seekd.accounts.driver import insert, statement

# --- who may call

KEYS_VERSION = statement("SELECT version FROM versions WHERE name = 'keys'")
# Every change of keys or of an account's limits raises it, in the same transaction; servers compare it at each request.
RAISE_KEYS_VERSION = statement("UPDATE versions SET version = version + 1 WHERE name = 'keys'")
ANY_KEY_EVER = statement("SELECT 1 FROM api_keys LIMIT 1")
FIND_KEY = statement("""
    SELECT k.id, k.account_id, k.name, k.prefix, k.secret_hash, k.expires_at_ms, k.revoked_at_ms, k.limits,
           k.allowed_models, a.limits, a.disabled_at_ms
    FROM api_keys k JOIN accounts a ON a.id = k.account_id WHERE k.secret_hash = :secret_hash
""")
# What a reservation needs to know of its key: read in the same transaction, so that no revoked key is ever served.
WORKING_KEYS = statement("""
    SELECT k.id FROM api_keys k JOIN accounts a ON a.id = k.account_id
    WHERE k.id IN_LIST(:ids) AND k.revoked_at_ms IS NULL AND (k.expires_at_ms IS NULL OR k.expires_at_ms > :now_ms)
          AND a.disabled_at_ms IS NULL
""")
INSERT_KEY = statement("""
    INSERT INTO api_keys (id, account_id, name, secret_hash, prefix, tail, created_at_ms, expires_at_ms,
                          revoked_at_ms, limits, allowed_models)
    VALUES (:id, :account_id, :name, :secret_hash, :prefix, :tail, :created_at_ms, :expires_at_ms, NULL, :limits,
            :allowed_models)
""")
REVOKE_KEY = statement("UPDATE api_keys SET revoked_at_ms = :now_ms WHERE id = :id AND revoked_at_ms IS NULL")
LIST_KEYS = statement("""
    SELECT id, account_id, name, prefix, tail, created_at_ms, expires_at_ms, revoked_at_ms, limits, allowed_models
    FROM api_keys ORDER BY created_at_ms, id
""")

# --- accounts

INSERT_ACCOUNT = statement("""
    INSERT INTO accounts (id, name, created_at_ms, limits) VALUES (:id, :name, :created_at_ms, :limits)
    ON CONFLICT (name) DO NOTHING
""")
# The account of open access comes last: whoever takes the first one and makes a key for it would close the server.
LIST_ACCOUNTS = statement("""
    SELECT id, name, created_at_ms, limits, disabled_at_ms FROM accounts
    ORDER BY CASE WHEN id = 'open' THEN 1 ELSE 0 END, created_at_ms, id
""")
# By id or by name; an id wins over a name that looks like it.
FIND_ACCOUNT = statement("""
    SELECT id, name, created_at_ms, limits, disabled_at_ms FROM accounts WHERE id = :account OR name = :account
    ORDER BY CASE WHEN id = :account THEN 0 ELSE 1 END
""")
RENAME_ACCOUNT = statement("""
    UPDATE accounts SET name = :name
    WHERE id = :id AND NOT EXISTS (SELECT 1 FROM accounts other WHERE other.name = :name AND other.id <> :id)
""")
SET_DISABLED = statement("UPDATE accounts SET disabled_at_ms = :disabled_at_ms WHERE id = :id")
SET_ACCOUNT_LIMITS = statement("UPDATE accounts SET limits = :limits WHERE id = :id")

# --- money

# Rows are locked in one order everywhere, so that gateways that share a database cannot block each other for good.
POOLS = statement("""
    SELECT account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest
    FROM pools WHERE account_id IN_LIST(:account_ids) ORDER BY account_id, currency FOR UPDATE
""")
READ_POOLS = statement("""
    SELECT account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest
    FROM pools WHERE account_id = :account_id ORDER BY currency
""")
GRANTS = statement("""
    SELECT account_id, currency, id, remaining_micros, expires_at_ms
    FROM grants WHERE account_id IN_LIST(:account_ids) AND remaining_micros > 0
""")
CREATE_POOL = statement("""
    INSERT INTO pools (account_id, currency, topped_up_micros, granted_micros, held_micros, last_seq, last_digest)
    VALUES (:account_id, :currency, 0, 0, 0, 0, :last_digest) ON CONFLICT (account_id, currency) DO NOTHING
""")
UPDATE_POOL = statement(
    """
    UPDATE pools SET topped_up_micros = :topped_up_micros, granted_micros = :granted_micros,
                     held_micros = :held_micros, last_seq = :last_seq, last_digest = :last_digest
    WHERE account_id = :account_id AND currency = :currency
    """,
    together="""
    UPDATE pools p SET topped_up_micros = r.topped_up_micros, granted_micros = r.granted_micros,
                       held_micros = r.held_micros, last_seq = r.last_seq, last_digest = r.last_digest
    FROM json_populate_recordset(NULL::pools, CAST(:rows AS json)) r
    WHERE p.account_id = r.account_id AND p.currency = r.currency
    """,
)
INSERT_GRANT = insert("grants", "id account_id currency granted_micros remaining_micros created_at_ms expires_at_ms")
UPDATE_GRANT = statement(
    "UPDATE grants SET remaining_micros = :remaining_micros WHERE id = :id",
    together="""
    UPDATE grants g SET remaining_micros = r.remaining_micros
    FROM json_populate_recordset(NULL::grants, CAST(:rows AS json)) r WHERE g.id = r.id
    """,
)
INSERT_LEDGER = insert("ledger", "account_id currency seq kind source target micros reference at_ms digest")

# --- running requests

HOLDS = statement("""
    SELECT request_id, account_id, key_id, model, currency, held_micros, hit_micros, miss_micros, output_micros,
           is_retry_safe, reserved_at_ms, owner, progress
    FROM holds WHERE request_id IN_LIST(:request_ids)
""")
HOLDS_OF_OTHERS = statement("""
    SELECT request_id, account_id FROM holds
    WHERE owner <> :owner AND owner NOT IN (SELECT id FROM owners WHERE seen_at_ms >= :alive_since_ms)
""")
INSERT_HOLD = insert(
    "holds",
    "request_id account_id key_id model currency held_micros hit_micros miss_micros output_micros is_retry_safe "
    "reserved_at_ms owner progress",
)
DELETE_HOLD = statement(
    "DELETE FROM holds WHERE request_id = :request_id",
    together="""
    DELETE FROM holds h USING json_populate_recordset(NULL::holds, CAST(:rows AS json)) r
    WHERE h.request_id = r.request_id
    """,
)
TAKE_HOLDS = statement("UPDATE holds SET owner = :owner WHERE request_id IN_LIST(:request_ids)")
SET_PROGRESS = statement("UPDATE holds SET progress = :progress WHERE request_id = :request_id")

# --- what was used

USAGE = statement("""
    SELECT request_id, currency, cost_micros, granted_micros, topped_up_micros, uncollected_micros, is_recovered
    FROM usage WHERE request_id IN_LIST(:request_ids)
""")
INSERT_USAGE = insert(
    "usage",
    "request_id account_id key_id model at_ms outcome is_error is_recovered num_hit_tokens num_miss_tokens "
    "num_completion_tokens num_reasoning_tokens currency cost_micros granted_micros topped_up_micros "
    "uncollected_micros first_token_ms latency_ms",
)
# Only a recovered request is written again: its gateway was thought dead and then settled after all.
DELETE_RECOVERED_USAGE = statement("DELETE FROM usage WHERE request_id = :request_id AND is_recovered = 1")

# --- gateways

LAST_SEEN = statement("SELECT seen_at_ms FROM owners WHERE id = :id")
SEE_OWNER = statement("""
    INSERT INTO owners (id, started_at_ms, seen_at_ms) VALUES (:id, :now_ms, :now_ms)
    ON CONFLICT (id) DO UPDATE SET seen_at_ms = :now_ms
""")
DELETE_OWNER = statement("DELETE FROM owners WHERE id = :id")
FORGET_OWNERS = statement("DELETE FROM owners WHERE seen_at_ms < :before_ms")

# --- idempotency

_CLAIM = """
    SELECT body_hash, request_id, owner, expires_at_ms, status, headers, body
    FROM idempotency WHERE account_id = :account_id AND idempotency_key = :idempotency_key
"""
READ_CLAIM = statement(_CLAIM)
FIND_CLAIM = statement(f"{_CLAIM} FOR UPDATE")
INSERT_CLAIM = statement("""
    INSERT INTO idempotency (account_id, idempotency_key, body_hash, request_id, owner, created_at_ms, expires_at_ms,
                             status, headers, body)
    VALUES (:account_id, :idempotency_key, :body_hash, :request_id, :owner, :now_ms, :expires_at_ms, NULL, NULL, NULL)
    ON CONFLICT (account_id, idempotency_key) DO NOTHING
""")
ANSWER_CLAIM = statement("""
    UPDATE idempotency SET status = :status, headers = :headers, body = :body, expires_at_ms = :expires_at_ms
    WHERE account_id = :account_id AND idempotency_key = :idempotency_key AND request_id = :request_id
""")
DELETE_CLAIM = statement("""
    DELETE FROM idempotency
    WHERE account_id = :account_id AND idempotency_key = :idempotency_key AND request_id = :request_id
""")
FORGET_CLAIMS = statement("DELETE FROM idempotency WHERE expires_at_ms < :now_ms AND status IS NOT NULL")
FORGET_DEAD_CLAIMS = statement("""
    DELETE FROM idempotency WHERE status IS NULL AND owner <> :owner
    AND owner NOT IN (SELECT id FROM owners WHERE seen_at_ms >= :alive_since_ms)
""")
