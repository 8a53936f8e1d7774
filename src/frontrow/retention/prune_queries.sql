-- name: cutoff
-- The time :days days ago.
SELECT clock_timestamp() - make_interval(days => :days);

-- name: prunable_lines
-- The lines with places that can be dropped, their count, and the last number of these (until).
SELECT w.room_id, p.until - w.pruned_to AS places, p.until
FROM waiting_room AS w
CROSS JOIN LATERAL (SELECT waiting_room_prunable(w.room_id, :before) AS until) AS p
ORDER BY w.room_id;

-- name: prunable_holds
-- The number of unpaid holds that can be dropped once these lines are pruned.
SELECT count(*) FROM reservation AS r
JOIN unnest(:room_ids::int[], :untils::int[]) AS k (room_id, until) USING (room_id)
WHERE r.state NOT IN ('paid', 'refunded') AND r.held_until < :before AND r.place_number <= k.until;

-- name: prune_places
-- Drops the next places of a line: see the function.
SELECT waiting_room_prune(:room_id, :before, :limit);

-- name: prune_drawn
-- Drops a part of a draw's result: see the function.
SELECT waiting_room_prune_drawn(:room_id, :after, :limit);

-- name: prune_holds
-- Drops ended holds among the next reservations: see the function.
SELECT last, dropped FROM reservation_prune(:after, :before, :limit);

-- name: prunable_keys
-- The number of revoked user keys that can be dropped.
SELECT count(*) FROM user_key WHERE revocation IS NOT NULL AND revoked_at < :before;

-- name: prune_keys
-- Drops the next revoked user keys: see the function.
SELECT user_key_prune(:before, :limit);
