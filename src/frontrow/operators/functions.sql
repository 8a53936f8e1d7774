-- The operator's browser sessions. The installation's row is locked first: it numbers the changes.

-- Stores that a session was opened, or p_ended. An ended session stays ended. Deletes sessions that no machine
-- accepts any more, also one whose clock is slow.
CREATE OR REPLACE FUNCTION operator_session_store(
    p_session_id text, p_address text, p_expires_at timestamptz, p_ended boolean
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    number bigint;
BEGIN
    UPDATE installation SET operator_sessions = operator_sessions + 1
    RETURNING operator_sessions INTO number;
    DELETE FROM operator_session AS s WHERE s.expires_at < clock_timestamp() - interval '1 hour';
    INSERT INTO operator_session (session_id, address, expires_at, ended, change)
    VALUES (p_session_id, p_address, p_expires_at, p_ended, number)
    ON CONFLICT (session_id) DO UPDATE
    SET ended = operator_session.ended OR EXCLUDED.ended, change = EXCLUDED.change;
END $$;
