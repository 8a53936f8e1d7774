-- name: erase
-- Erases a user: see the function.
SELECT outcome, balance, rooms, revoked FROM retention_erase(:user_id, :force);

-- name: rooms
-- All lines.
SELECT room_id FROM waiting_room ORDER BY room_id;

-- name: sweep
-- Takes an erased user out of one line: see the function.
SELECT retention_sweep(:room_id, :user_id);

-- name: unlink
-- Unlinks what erased users left behind: see the function.
SELECT users, places, reservations FROM retention_unlink(:limit);

-- name: is_unlinked
-- Whether a user's erasure is complete.
SELECT unlinked_at IS NOT NULL FROM erasure WHERE user_id = :user_id;
