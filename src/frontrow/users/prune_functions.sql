-- Prunes revoked user keys. Conventions as in waiting_room/functions.sql.

-- Drops the next p_limit keys that were revoked before p_before. A key without a row is refused like a
-- revoked one, and every process has read such a revocation long ago. Locked rows stay. Returns their number.
-- hot
CREATE OR REPLACE FUNCTION user_key_prune(p_before timestamptz, p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    dropped int;
BEGIN
    -- Revocations are numbered one after the other: the oldest come first.
    WITH ended AS MATERIALIZED (
        SELECT k.ctid AS at FROM user_key AS k
        WHERE k.revocation IS NOT NULL AND k.revoked_at < p_before
        ORDER BY k.revocation LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    )
    DELETE FROM user_key AS k USING ended AS e WHERE k.ctid = e.at;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END $$;
