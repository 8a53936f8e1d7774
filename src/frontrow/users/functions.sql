-- Issues and revokes a user's keys, each in one call. The account's row is locked first, the
-- installation's last (it numbers the revocations); nothing else locks both.

-- Revokes these active keys, whose users' rows are locked. Returns their hashes.
-- hot
CREATE OR REPLACE FUNCTION user_key_mark_revoked(p_key_hashes bytea[])
RETURNS bytea[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    number bigint;
BEGIN
    IF p_key_hashes <> '{}' THEN
        UPDATE installation SET revocations = revocations + 1 RETURNING revocations INTO number;
        UPDATE user_key AS k SET revoked_at = clock_timestamp(), revocation = number
        WHERE k.key_hash = ANY (p_key_hashes);
    END IF;
    RETURN p_key_hashes;
END $$;

-- Revokes keys of a user whose row is locked: the key p_only, or all but p_except where that is NULL.
-- Returns their hashes.
-- hot
CREATE OR REPLACE FUNCTION user_key_end(p_user_id uuid, p_only bytea, p_except bytea)
RETURNS bytea[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN user_key_mark_revoked(ARRAY(
        SELECT k.key_hash FROM user_key AS k
        WHERE k.user_id = p_user_id AND k.revoked_at IS NULL
            AND (p_only IS NULL OR k.key_hash = p_only) AND k.key_hash IS DISTINCT FROM p_except
        ORDER BY k.key_hash
    ));
END $$;

-- Whether a key is this user's and active: neither revoked nor expired.
CREATE OR REPLACE FUNCTION user_key_is_live(p_user_id uuid, p_key_hash bytea)
RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(
        (
            SELECT k.user_id = p_user_id AND k.revoked_at IS NULL
                AND coalesce(k.expires_at > clock_timestamp(), true)
            FROM user_key AS k WHERE k.key_hash = p_key_hash
        ),
        false
    )
$$;

-- Issues a user a new key, p_key_hash. p_asked_with is the key of the request: it is revoked unless p_keep,
-- and the new one expires when that one would, and ends with the same session. NULL: the operator makes the
-- request, and all keys of the user are revoked.
-- outcome: issued; replayed (the user has this key: nothing changes); idempotency_key_reused (another user
-- has it); not_found (no such user, or an erased one); credential_invalid (p_asked_with was revoked
-- meanwhile); key_limit (p_limit keys are active).
-- revoked: the hashes of the revoked keys.
-- hot
CREATE OR REPLACE FUNCTION user_key_issue(
    p_user_id uuid, p_key_hash bytea, p_asked_with bytea, p_keep boolean, p_limit int,
    OUT outcome text, OUT revoked bytea[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    given_to uuid;
BEGIN
    revoked := '{}';
    PERFORM FROM app_user AS u WHERE u.user_id = p_user_id FOR NO KEY UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM erasure AS e WHERE e.user_id = p_user_id) THEN
        outcome := 'not_found';
        RETURN;
    END IF;
    SELECT k.user_id INTO given_to FROM user_key AS k WHERE k.key_hash = p_key_hash;
    IF given_to = p_user_id THEN
        outcome := 'replayed';
    ELSIF given_to IS NOT NULL THEN
        outcome := 'idempotency_key_reused';
    ELSIF p_asked_with IS NOT NULL AND NOT user_key_is_live(p_user_id, p_asked_with) THEN
        outcome := 'credential_invalid';
    ELSE
        IF p_keep AND p_limit <= (
            SELECT count(*) FROM user_key AS k
            WHERE k.user_id = p_user_id AND k.revoked_at IS NULL
                AND coalesce(k.expires_at > clock_timestamp(), true)
        ) THEN
            outcome := 'key_limit';
            RETURN;
        END IF;
        INSERT INTO user_key (key_hash, user_id, created_at, expires_at, session_hash)
        SELECT p_key_hash, p_user_id, clock_timestamp(), a.expires_at,
            CASE WHEN a.expires_at IS NOT NULL THEN coalesce(a.session_hash, a.key_hash) END
        FROM (SELECT) AS one
        LEFT JOIN LATERAL (
            SELECT k.key_hash, k.expires_at, k.session_hash FROM user_key AS k
            WHERE k.key_hash = p_asked_with OFFSET 0
        ) AS a ON true
        ON CONFLICT (key_hash) DO NOTHING;
        IF NOT FOUND THEN
            -- Another call has just issued it to another user.
            outcome := 'idempotency_key_reused';
            RETURN;
        END IF;
        IF NOT p_keep THEN
            revoked := user_key_end(p_user_id, p_asked_with, p_key_hash);
        END IF;
        outcome := 'issued';
    END IF;
END $$;

-- Revokes all keys of a user but p_except, the key of the request; NULL: all.
-- outcome: revoked, not_found, credential_invalid; revoked: the hashes of the revoked keys.
-- hot
CREATE OR REPLACE FUNCTION user_key_revoke(
    p_user_id uuid, p_except bytea, OUT outcome text, OUT revoked bytea[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    revoked := '{}';
    PERFORM FROM app_user AS u WHERE u.user_id = p_user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'not_found';
    ELSIF p_except IS NOT NULL AND NOT user_key_is_live(p_user_id, p_except) THEN
        outcome := 'credential_invalid';
    ELSE
        revoked := user_key_end(p_user_id, NULL, p_except);
        outcome := 'revoked';
    END IF;
END $$;

-- Returns whether a user has no account at the issuer: the id of such an account is a digest (UUIDv5), that of a
-- guest is random.
CREATE OR REPLACE FUNCTION user_is_guest(p_user_id uuid)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN get_byte(uuid_send(p_user_id), 6) >> 4 <> 5;
