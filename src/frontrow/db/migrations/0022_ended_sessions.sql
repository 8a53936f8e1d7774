-- Sessions end on the server: an operator's at sign-out, and keys made from a user's session with it
-- depends: 0020_simpler_best_seats

-- migrate: apply

-- Number of the last change of operator_session. Counted under this row's lock, so that a process that has
-- read change n misses no earlier one.
ALTER TABLE installation ADD operator_sessions bigint NOT NULL DEFAULT 0;

-- A browser session of the operator, until it expires. Its signature proves that it is genuine; this row
-- says whether it was ended, and from which address it was opened.
CREATE TABLE operator_session (
    session_id text PRIMARY KEY CHECK (length(session_id) BETWEEN 1 AND 64),
    address text,
    expires_at timestamptz NOT NULL,
    ended boolean NOT NULL,
    change bigint NOT NULL UNIQUE
);
CREATE INDEX operator_session_expiry ON operator_session (expires_at);

ALTER TABLE user_key
    -- The session from which it was made; it ends with that session.
    ADD session_hash bytea CHECK (octet_length(session_hash) = 32);
-- A key made from a session has the same end.
UPDATE user_key AS k SET session_hash = s.key_hash
FROM user_key AS s
WHERE k.expires_at IS NOT NULL AND k.sign_in IS NULL
    AND s.user_id = k.user_id AND s.expires_at = k.expires_at AND s.sign_in IS NOT NULL;

DROP FUNCTION IF EXISTS user_session_end(bytea);

-- migrate: rollback

ALTER TABLE user_key DROP session_hash;
DROP TABLE operator_session;
ALTER TABLE installation DROP operator_sessions;
