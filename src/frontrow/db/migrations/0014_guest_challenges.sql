-- Proof of work before a guest account: the key that signs challenges, and those that were used
-- depends: 0013_best_seats

-- migrate: apply

ALTER TABLE signing_key
    DROP CONSTRAINT signing_key_purpose_check,
    ADD CONSTRAINT signing_key_purpose_check CHECK (purpose IN ('token', 'ticket', 'challenge'));

-- A solved challenge that gave an account. Kept until some time after its expiry: then nobody can use it
-- any more.
CREATE TABLE used_challenge (
    nonce bytea PRIMARY KEY CHECK (octet_length(nonce) = 16),
    -- The account of the challenge.
    user_id uuid NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_challenge_by_end ON used_challenge (expires_at);

-- migrate: rollback

DROP TABLE used_challenge CASCADE;
DELETE FROM signing_key WHERE purpose = 'challenge';
ALTER TABLE signing_key
    DROP CONSTRAINT signing_key_purpose_check,
    ADD CONSTRAINT signing_key_purpose_check CHECK (purpose IN ('token', 'ticket'));
