-- The signing keys. A key signs from its signs_at on, until a later one of its purpose does; its signatures are
-- accepted until it is retired. The clock alone decides: no job is needed.

-- The key of a purpose that signs at an instant; NULL if there is none.
CREATE OR REPLACE FUNCTION signing_key_in_use(p_purpose text, p_now timestamptz)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT k.key_id FROM signing_key AS k
    WHERE k.purpose = p_purpose AND k.retired_at IS NULL AND k.signs_at <= p_now
    ORDER BY k.signs_at DESC, k.key_id DESC LIMIT 1
$$;

-- Allows one change of the keys at a time, of any purpose: missing rows can't be locked.
CREATE OR REPLACE FUNCTION signing_key_lock()
RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT pg_advisory_xact_lock(x'4B455953'::int)  -- "KEYS"
$$;

-- Adds a key that signs p_lead_seconds from now on. With p_first only where its purpose has no key in
-- use.
-- outcome: added; unneeded (p_first, and there is one); replayed (the key with this write id exists: the
-- other columns describe it); idempotency_key_reused (for another purpose).
CREATE OR REPLACE FUNCTION signing_key_add(
    p_write_id uuid, p_purpose text, p_key_id text, p_secret bytea, p_public_key bytea,
    p_lead_seconds double precision, p_first boolean,
    OUT outcome text, OUT key_id text, OUT signs_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    old signing_key;
BEGIN
    PERFORM signing_key_lock();
    now := clock_timestamp();
    SELECT * INTO old FROM signing_key AS k WHERE k.write_id = p_write_id;
    IF FOUND THEN
        outcome := CASE old.purpose WHEN p_purpose THEN 'replayed' ELSE 'idempotency_key_reused' END;
        key_id := old.key_id;
        signs_at := old.signs_at;
    ELSIF p_first AND signing_key_in_use(p_purpose, now) IS NOT NULL THEN
        outcome := 'unneeded';
    ELSE
        outcome := 'added';
        key_id := p_key_id;
        signs_at := now + make_interval(secs => p_lead_seconds);
        INSERT INTO signing_key (write_id, key_id, purpose, secret, public_key, created_at, signs_at)
        VALUES (p_write_id, key_id, p_purpose, p_secret, p_public_key, now, signs_at);
    END IF;
END $$;

-- Retires the keys of a purpose whose successor has signed for p_overlap_seconds or longer. Returns their
-- number.
CREATE OR REPLACE FUNCTION signing_key_retire_old(p_purpose text, p_overlap_seconds double precision)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz;
    ended int;
BEGIN
    PERFORM signing_key_lock();
    now := clock_timestamp();
    UPDATE signing_key AS k SET retired_at = now
    WHERE k.purpose = p_purpose AND k.retired_at IS NULL
        AND (k.signs_at, k.key_id) < (
            SELECT s.signs_at, s.key_id FROM signing_key AS s
            WHERE s.key_id = signing_key_in_use(
                p_purpose, now - make_interval(secs => p_overlap_seconds)
            )
        );
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END $$;

-- Retires a key: its signatures are refused from now on. Returns retired (also for a retired key),
-- not_found, or signing: the key that signs now stays until another one takes over.
CREATE OR REPLACE FUNCTION signing_key_retire(p_purpose text, p_key_id text)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz;
BEGIN
    PERFORM signing_key_lock();
    now := clock_timestamp();
    IF signing_key_in_use(p_purpose, now) = p_key_id THEN
        RETURN 'signing';
    END IF;
    UPDATE signing_key AS k SET retired_at = coalesce(k.retired_at, now)
    WHERE k.purpose = p_purpose AND k.key_id = p_key_id;
    RETURN CASE WHEN FOUND THEN 'retired' ELSE 'not_found' END;
END $$;
