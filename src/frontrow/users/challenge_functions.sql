-- Adds guest accounts that solved a challenge, each challenge once. Two calls with the same one at the
-- same moment meet on its primary key: the later waits for the earlier to end.
-- outcome: added (also for an account that exists: of a batch sent again), used (the challenge was used for
-- another account), expired (by the database's clock).
-- hot
CREATE OR REPLACE FUNCTION user_add_solved(
    p_users uuid[], p_key_hashes bytea[], p_nonces bytea[], p_expires timestamptz[]
)
RETURNS TABLE (item int, outcome text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz := clock_timestamp();
    outcomes text[];
BEGIN
    INSERT INTO used_challenge (nonce, user_id, expires_at)
    SELECT k.nonce, k.user_id, k.expires_at
    FROM unnest(p_nonces, p_users, p_expires) WITH ORDINALITY
        AS k (nonce, user_id, expires_at, item)
    WHERE k.expires_at > now
    ORDER BY k.nonce, k.item
    ON CONFLICT (nonce) DO NOTHING;

    SELECT array_agg(
        CASE
            WHEN c.user_id = k.user_id THEN 'added'
            WHEN c.user_id IS NOT NULL THEN 'used'
            ELSE 'expired'
        END
        ORDER BY k.item
    )
    INTO outcomes
    FROM unnest(p_nonces, p_users) WITH ORDINALITY AS k (nonce, user_id, item)
    LEFT JOIN LATERAL (
        SELECT c.user_id FROM used_challenge AS c WHERE c.nonce = k.nonce OFFSET 0
    ) AS c ON true;

    INSERT INTO app_user (user_id, created_at)
    SELECT k.user_id, now FROM unnest(p_users, outcomes) AS k (user_id, outcome)
    WHERE k.outcome = 'added' ORDER BY k.user_id
    ON CONFLICT (user_id) DO NOTHING;

    INSERT INTO user_key (key_hash, user_id, created_at)
    SELECT k.key_hash, k.user_id, now
    FROM unnest(p_users, p_key_hashes, outcomes) AS k (user_id, key_hash, outcome)
    WHERE k.outcome = 'added' ORDER BY k.key_hash
    ON CONFLICT (key_hash) DO NOTHING;

    RETURN QUERY
    SELECT k.item::int, k.outcome FROM unnest(outcomes) WITH ORDINALITY AS k (outcome, item);
END $$;
