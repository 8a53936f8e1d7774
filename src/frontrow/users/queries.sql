-- name: add_users!
-- Adds guest accounts with their keys; those that exist (of a batch sent again) stay as they are.
WITH added AS (
    INSERT INTO app_user (user_id, created_at)
    SELECT k.user_id, clock_timestamp()
    FROM unnest(:user_id::uuid[]) AS k (user_id)
    ORDER BY k.user_id
    ON CONFLICT (user_id) DO NOTHING
)
INSERT INTO user_key (key_hash, user_id, created_at)
SELECT k.key_hash, k.user_id, clock_timestamp()
FROM unnest(:user_id::uuid[], :key_hash::bytea[]) AS k (user_id, key_hash)
ORDER BY k.key_hash
ON CONFLICT (key_hash) DO NOTHING;

-- name: add_accounts
-- Adds accounts without a key; those that exist stay as they are. Returns in their order whether each has
-- been erased.
WITH added AS (
    INSERT INTO app_user (user_id, created_at)
    SELECT k.user_id, clock_timestamp()
    FROM unnest(:user_ids::uuid[]) AS k (user_id)
    ORDER BY k.user_id
    ON CONFLICT (user_id) DO NOTHING
)
SELECT e.user_id IS NOT NULL AS erased
FROM unnest(:user_ids::uuid[]) WITH ORDINALITY AS k (user_id, item)
LEFT JOIN LATERAL (
    SELECT e.user_id FROM erasure AS e WHERE e.user_id = k.user_id OFFSET 0
) AS e ON true
ORDER BY k.item;

-- name: add_solved
-- Adds guest accounts that solved a challenge: see the function.
SELECT outcome FROM user_add_solved(:user_id, :key_hash, :nonce, :expires_at)
ORDER BY item;

-- name: prune_challenges
-- Drops up to :most used challenges that ended at least five minutes ago. Returns their number.
WITH pruned AS (
    DELETE FROM used_challenge WHERE nonce IN (
        SELECT c.nonce FROM used_challenge AS c
        WHERE c.expires_at < clock_timestamp() - interval '5 minutes'
        ORDER BY c.expires_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
    RETURNING nonce
)
SELECT count(*) FROM pruned;

-- name: users_of_keys
-- The users whose active keys have these hashes, in their order, and how long these keys last; NULL where
-- there is none, or no end. A key is looked up before its state is checked: otherwise the whole index of the
-- active ones may be read.
SELECT u.user_id, u.seconds_left
FROM unnest(:key_hashes::bytea[]) WITH ORDINALITY AS k (key_hash, item)
LEFT JOIN LATERAL (
    SELECT u.user_id, u.revoked_at,
        extract(epoch FROM u.expires_at - clock_timestamp())::float8 AS seconds_left
    FROM user_key AS u WHERE u.key_hash = k.key_hash OFFSET 0
) AS u ON u.revoked_at IS NULL AND coalesce(u.seconds_left > 0, true)
ORDER BY k.item;

-- name: open_sessions
-- Opens sessions of users who have signed in: see the function.
SELECT outcome FROM user_session_open(:user_id, :key_hash, :sign_in, :seconds, :most)
ORDER BY item;

-- name: end_session
-- Ends a session: see the function.
SELECT unnest(user_session_end(:key_hash, :lasting)) AS revoked;

-- name: issue_key
-- Issues a user a new key: see the function.
SELECT outcome, revoked, :most::int AS "limit"
FROM user_key_issue(:user_id, :key_hash, :asked_with, :keep, :most);

-- name: revoke_keys
-- Revokes a user's keys: see the function.
SELECT outcome, revoked FROM user_key_revoke(:user_id, :kept);

-- name: revocations
-- The number of the last revocation.
SELECT revocations FROM installation;

-- name: revoked_since
-- The keys that were revoked, and the users who were erased, after this revocation.
SELECT key_hash, NULL::uuid AS erased_user, revocation FROM user_key WHERE revocation > :after::bigint
UNION ALL
SELECT NULL, user_id, revocation FROM erasure WHERE revocation > :after::bigint
ORDER BY revocation;

-- name: erased_users
-- Every user who was erased.
SELECT user_id FROM erasure;
