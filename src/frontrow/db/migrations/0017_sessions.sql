-- Sessions of users who sign in at an issuer: user keys that expire
-- depends: 0016_payments_of_concert

-- migrate: apply

ALTER TABLE user_key
    -- When it expires; NULL: never.
    ADD expires_at timestamptz,
    -- The digest of its sign-in: each gives one session.
    ADD sign_in bytea CHECK (octet_length(sign_in) = 32),
    ADD CONSTRAINT user_key_session_ends CHECK (sign_in IS NULL OR expires_at IS NOT NULL);
CREATE UNIQUE INDEX user_key_of_sign_in ON user_key (sign_in) WHERE sign_in IS NOT NULL;
CREATE INDEX user_key_that_ends ON user_key (user_id) WHERE expires_at IS NOT NULL;

-- migrate: rollback

-- Without the column these keys would never expire.
DELETE FROM user_key WHERE expires_at IS NOT NULL;
DROP INDEX user_key_that_ends, user_key_of_sign_in;
ALTER TABLE user_key DROP CONSTRAINT user_key_session_ends, DROP sign_in, DROP expires_at;
