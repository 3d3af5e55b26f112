-- Accounts can be disabled.

-- disabled_at_ms --
-- The instant from which the keys of the account do not work.
ALTER TABLE accounts ADD COLUMN disabled_at_ms BIGINT;
