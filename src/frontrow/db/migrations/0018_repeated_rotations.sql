-- The call that added a signing key: a retry adds no other key
-- depends: 0017_sessions

-- migrate: apply

ALTER TABLE signing_key ADD write_id uuid UNIQUE;
DROP FUNCTION IF EXISTS signing_key_add(text, text, bytea, bytea, double precision, boolean);

-- migrate: rollback

ALTER TABLE signing_key DROP write_id;
