-- Sessions: user keys that expire, for users who sign in at an issuer. Locks as in functions.sql: the
-- accounts first, in their order, the installation last.

-- Revokes the keys p_key_hashes of users, whose rows are locked, and the keys made from them. Returns the
-- hashes of all that were active.
CREATE OR REPLACE FUNCTION user_session_mark_ended(p_users uuid[], p_key_hashes bytea[])
RETURNS bytea[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN user_key_mark_revoked(ARRAY(
        SELECT s.key_hash FROM unnest(p_users) AS k (user_id)
        CROSS JOIN LATERAL (
            SELECT s.key_hash FROM user_key AS s
            WHERE s.user_id = k.user_id AND s.revoked_at IS NULL
                AND (s.key_hash = ANY (p_key_hashes) OR s.session_hash = ANY (p_key_hashes))
            OFFSET 0
        ) AS s
        ORDER BY s.key_hash
    ));
END $$;

-- Ends the sessions of users, whose rows are locked, beyond the newest p_most of each, with the keys made from
-- them.
CREATE OR REPLACE FUNCTION user_session_end_oldest(p_users uuid[], p_now timestamptz, p_most int)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    ended bytea[] := ARRAY(
        SELECT s.key_hash FROM unnest(p_users) AS k (user_id)
        CROSS JOIN LATERAL (
            SELECT s.key_hash FROM user_key AS s
            WHERE s.user_id = k.user_id AND s.expires_at > p_now AND s.revoked_at IS NULL
            ORDER BY s.created_at DESC, s.key_hash OFFSET p_most
        ) AS s
    );
BEGIN
    PERFORM user_session_mark_ended(p_users, ended);
END $$;

-- Opens sessions that last p_seconds, one for each sign-in (p_sign_ins), with these keys; creates missing
-- accounts. A user keeps the newest p_most sessions; older ones are revoked, with the keys made from them.
-- outcome: opened (also for a key that exists: of a batch sent again), used (the sign-in gave another
-- session), credential_invalid (the user has been erased).
-- hot
CREATE OR REPLACE FUNCTION user_session_open(
    p_users uuid[], p_key_hashes bytea[], p_sign_ins bytea[], p_seconds int[], p_most int
)
RETURNS TABLE (item int, outcome text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    users uuid[] := ARRAY(SELECT DISTINCT k FROM unnest(p_users) AS k ORDER BY k);
    now timestamptz;
    ended bytea[];
BEGIN
    INSERT INTO app_user (user_id, created_at)
    SELECT k.user_id, clock_timestamp() FROM unnest(users) AS k (user_id) ORDER BY k.user_id
    ON CONFLICT (user_id) DO NOTHING;
    PERFORM FROM (SELECT k FROM unnest(users) AS k ORDER BY k) AS k (user_id)
    CROSS JOIN LATERAL (
        SELECT FROM app_user AS u WHERE u.user_id = k.user_id FOR NO KEY UPDATE
    ) AS locked;
    now := clock_timestamp();

    -- No process remembers these any more, and their sign-ins have expired too.
    ended := ARRAY(
        SELECT s.key_hash FROM unnest(users) AS k (user_id)
        CROSS JOIN LATERAL (
            SELECT s.key_hash FROM user_key AS s
            WHERE s.user_id = k.user_id AND s.expires_at < now - interval '1 hour'
            OFFSET 0
        ) AS s
    );
    DELETE FROM user_key AS k WHERE k.key_hash = ANY (ended);

    INSERT INTO user_key (key_hash, user_id, created_at, expires_at, sign_in)
    SELECT k.key_hash, k.user_id, now, now + make_interval(secs => k.seconds), k.sign_in
    FROM unnest(p_users, p_key_hashes, p_sign_ins, p_seconds) WITH ORDINALITY
        AS k (user_id, key_hash, sign_in, seconds, item)
    LEFT JOIN LATERAL (
        SELECT e.user_id FROM erasure AS e WHERE e.user_id = k.user_id OFFSET 0
    ) AS e ON true
    WHERE e.user_id IS NULL
    ORDER BY k.sign_in, k.item
    ON CONFLICT DO NOTHING;

    PERFORM user_session_end_oldest(users, now, p_most);

    RETURN QUERY
    SELECT k.item::int, CASE
        WHEN s.user_id = k.user_id THEN 'opened'
        WHEN e.user_id IS NOT NULL THEN 'credential_invalid'
        ELSE 'used'
    END
    FROM unnest(p_users, p_key_hashes) WITH ORDINALITY AS k (user_id, key_hash, item)
    LEFT JOIN LATERAL (
        SELECT s.user_id FROM user_key AS s WHERE s.key_hash = k.key_hash OFFSET 0
    ) AS s ON true
    LEFT JOIN LATERAL (
        SELECT e.user_id FROM erasure AS e WHERE e.user_id = k.user_id OFFSET 0
    ) AS e ON true;
END $$;

-- Ends the session that has this key, with the keys made from it; any other key stays, unless p_lasting: then
-- it is revoked as well. Returns the hashes of the revoked keys.
-- hot
CREATE OR REPLACE FUNCTION user_session_end(p_key_hash bytea, p_lasting boolean)
RETURNS bytea[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    owner uuid;
BEGIN
    SELECT k.user_id INTO owner FROM user_key AS k
    WHERE k.key_hash = p_key_hash AND (p_lasting OR k.expires_at IS NOT NULL);
    IF owner IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM FROM app_user AS u WHERE u.user_id = owner FOR NO KEY UPDATE;
    RETURN user_session_mark_ended(ARRAY[owner], ARRAY[p_key_hash]);
END $$;
