-- name: add_users!
-- Adds guest accounts with their keys; what stands already (a batch sent again) stays as it is.
WITH added AS (
    INSERT INTO app_user (user_id, created_at)
    SELECT k.user_id, clock_timestamp()
    FROM unnest(:user_ids::uuid[]) AS k (user_id)
    ORDER BY k.user_id
    ON CONFLICT (user_id) DO NOTHING
)
INSERT INTO user_key (key_hash, user_id, created_at)
SELECT k.key_hash, k.user_id, clock_timestamp()
FROM unnest(:user_ids::uuid[], :key_hashes::bytea[]) AS k (user_id, key_hash)
ORDER BY k.key_hash
ON CONFLICT (key_hash) DO NOTHING;

-- name: add_accounts
-- Adds accounts without a key; those that stand already stay as they are. Tells, in their order, which
-- have been erased.
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
-- Adds guest accounts that solved a challenge: user_add_solved.
SELECT outcome FROM user_add_solved(
    :user_ids::uuid[], :key_hashes::bytea[], :nonces::bytea[], :expires::timestamptz[]
)
ORDER BY item;

-- name: prune_challenges$
-- Drops some of the used challenges that have ended a while ago; gives how many.
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
-- The users whose live keys have these hashes, in their order, and how long these keys last; NULL where
-- there is none, or no end. A key is looked up before it is judged, or the index of the live ones may be
-- read through for it.
SELECT u.user_id, u.seconds_left
FROM unnest(:key_hashes::bytea[]) WITH ORDINALITY AS k (key_hash, item)
LEFT JOIN LATERAL (
    SELECT u.user_id, u.revoked_at,
        extract(epoch FROM u.expires_at - clock_timestamp())::float8 AS seconds_left
    FROM user_key AS u WHERE u.key_hash = k.key_hash OFFSET 0
) AS u ON u.revoked_at IS NULL AND coalesce(u.seconds_left > 0, true)
ORDER BY k.item;

-- name: open_sessions
-- Opens sessions for those who have signed in: user_session_open.
SELECT outcome FROM user_session_open(
    :user_ids::uuid[], :key_hashes::bytea[], :sign_ins::bytea[], :seconds::int[], :most::int
)
ORDER BY item;

-- name: end_session$
-- Ends a session: user_session_end.
SELECT user_session_end(:key_hash::bytea);

-- name: issue_key^
-- Gives a user a new key: user_key_issue.
SELECT outcome, revoked FROM user_key_issue(
    :user_id::uuid, :key_hash::bytea, :asked_with::bytea, :keep::boolean, :most::int
);

-- name: revoke_keys^
-- Revokes a user's keys: user_key_revoke.
SELECT outcome, revoked FROM user_key_revoke(:user_id::uuid, :kept::bytea);

-- name: revocations$
-- How many revocations there were.
SELECT revocations FROM installation;

-- name: revoked_since
-- The keys that ended, and the users who were erased, with a later revocation than this one.
SELECT key_hash, NULL::uuid AS erased_user, revocation FROM user_key WHERE revocation > :after::bigint
UNION ALL
SELECT NULL, user_id, revocation FROM erasure WHERE revocation > :after::bigint
ORDER BY revocation;

-- name: erased_users
-- Every user who was erased.
SELECT user_id FROM erasure;
