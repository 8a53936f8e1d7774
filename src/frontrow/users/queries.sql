-- name: add_users!
-- Adds guest accounts; one that stands already (a batch sent again) stays as it is.
INSERT INTO app_user (user_id, key_hash, created_at)
SELECT k.user_id, k.key_hash, clock_timestamp()
FROM unnest(:user_ids::uuid[], :key_hashes::bytea[]) AS k (user_id, key_hash)
ORDER BY k.user_id
ON CONFLICT (user_id) DO NOTHING;

-- name: users_of_keys
-- The users whose keys have these hashes, in their order; NULL where there is none.
SELECT u.user_id
FROM unnest(:key_hashes::bytea[]) WITH ORDINALITY AS k (key_hash, item)
LEFT JOIN LATERAL (
    SELECT u.user_id FROM app_user AS u WHERE u.key_hash = k.key_hash
) AS u ON true
ORDER BY k.item;
