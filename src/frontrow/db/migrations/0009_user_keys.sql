-- User keys that can be revoked and reissued
-- depends: 0006_tickets

-- migrate: apply

-- Proves who a user is; a user may have several. No foreign key: accounts and keys are written together,
-- in batches.
CREATE TABLE user_key (
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    user_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    -- The number of the revocation that ended it, in this installation.
    revocation bigint,
    CHECK ((revoked_at IS NULL) = (revocation IS NULL))
);
CREATE INDEX user_key_live ON user_key (user_id) WHERE revoked_at IS NULL;
CREATE INDEX user_key_revoked ON user_key (revocation) WHERE revocation IS NOT NULL;

INSERT INTO user_key (key_hash, user_id, created_at)
SELECT key_hash, user_id, created_at FROM app_user;
DROP INDEX app_user_by_key;
ALTER TABLE app_user DROP key_hash;

-- The number of revocations. Counted under this row's lock, so that they are numbered in the order of
-- their commits: a process that has read number n misses no earlier one.
ALTER TABLE installation ADD revocations bigint NOT NULL DEFAULT 0;

-- migrate: rollback

ALTER TABLE installation DROP revocations;
ALTER TABLE app_user ADD key_hash bytea CHECK (octet_length(key_hash) = 32);
-- One key for each user; for a user without one, a hash that no key has.
UPDATE app_user AS u SET key_hash = coalesce(
    (
        SELECT k.key_hash FROM user_key AS k
        WHERE k.user_id = u.user_id AND k.revoked_at IS NULL
        ORDER BY k.created_at DESC LIMIT 1
    ),
    sha256(uuid_send(gen_random_uuid()))
);
ALTER TABLE app_user ALTER key_hash SET NOT NULL;
CREATE UNIQUE INDEX app_user_by_key ON app_user (key_hash);
DROP TABLE user_key;
