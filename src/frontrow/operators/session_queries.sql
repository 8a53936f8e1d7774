-- name: store_session
-- Stores that a session was opened or ended: see the function.
SELECT operator_session_store(:session_id, :address, :expires_at, :ended);

-- name: changed_sessions
-- The sessions that were opened or ended after this change.
SELECT session_id, address, expires_at, ended, change FROM operator_session
WHERE change > :after::bigint
ORDER BY change;
