-- Retention of holds. Conventions as in waiting_room/functions.sql.

-- Deletes holds that ended unpaid before p_before and whose places are pruned (waiting_room_prune), among the
-- next p_limit reservations after p_after. Paid, refunded and locked reservations stay. A seat may still name
-- a deleted hold; it is free.
-- last: the last reservation that was read; NULL: none.
-- hot
CREATE OR REPLACE FUNCTION reservation_prune(
    p_after uuid, p_before timestamptz, p_limit int, OUT last uuid, OUT dropped int
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    due uuid[];
BEGIN
    SELECT max(r.reservation_id::text)::uuid, array_agg(r.reservation_id ORDER BY r.reservation_id)
        FILTER (
            WHERE r.state NOT IN ('paid', 'refunded') AND r.held_until < p_before
                AND r.place_number <= r.pruned_to
        )
    INTO last, due FROM (
        SELECT r.*, (
            SELECT w.pruned_to FROM waiting_room AS w WHERE w.room_id = r.room_id
        ) AS pruned_to
        FROM reservation AS r WHERE r.reservation_id > p_after
        ORDER BY r.reservation_id LIMIT p_limit
    ) AS r;
    WITH ended AS MATERIALIZED (
        SELECT r.at FROM unnest(due) AS k (reservation_id)
        CROSS JOIN LATERAL (
            SELECT r.ctid AS at FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id AND r.state NOT IN ('paid', 'refunded')
            FOR UPDATE SKIP LOCKED
        ) AS r
    )
    DELETE FROM reservation AS r USING ended AS e WHERE r.ctid = e.at;
    GET DIAGNOSTICS dropped = ROW_COUNT;
END $$;
