-- Reservations: their locks, and their end. Conventions as in waiting_room/functions.sql; the lock order is
-- in docs/design/concurrency.md.

-- Locks seats, in the documented order. Used by payments too.
-- hot
CREATE OR REPLACE FUNCTION reservation_lock_seats(p_shows uuid[], p_numbers int[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (
        SELECT DISTINCT show_id, number FROM unnest(p_shows, p_numbers) AS k (show_id, number)
        ORDER BY show_id, number
    ) AS k
    CROSS JOIN LATERAL (
        SELECT FROM seat AS s WHERE s.show_id = k.show_id AND s.number = k.number
        FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- Locks shows, shared with other buyers. A cancellation or the end of a sale locks its show FOR UPDATE.
-- hot
CREATE OR REPLACE FUNCTION reservation_lock_shows(p_shows uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (SELECT DISTINCT s FROM unnest(p_shows) AS s ORDER BY s) AS k (show_id)
    CROSS JOIN LATERAL (
        SELECT FROM show AS s WHERE s.show_id = k.show_id FOR KEY SHARE
    ) AS locked;
END $$;

-- Locks reservations and their seats.
-- hot
CREATE OR REPLACE FUNCTION reservation_lock(p_reservations uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    shows uuid[];
    numbers int[];
BEGIN
    SELECT array_agg(locked.show_id), array_agg(locked.number) INTO shows, numbers
    FROM (
        SELECT r.show_id, unnest(r.seats) AS number
        FROM (SELECT DISTINCT r FROM unnest(p_reservations) AS r ORDER BY r) AS k (reservation_id)
        CROSS JOIN LATERAL (
            SELECT r.show_id, r.seats FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id
            FOR NO KEY UPDATE
        ) AS r
    ) AS locked;
    PERFORM reservation_lock_seats(shows, numbers);
END $$;

-- Returns the holds of places, which a leave or a payment releases. The places are locked, so that none can
-- be added.
-- hot
CREATE OR REPLACE FUNCTION reservation_held_by(p_rooms int[], p_numbers int[])
RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT coalesce(array_agg(DISTINCT r.reservation_id), '{}')
        FROM unnest(p_rooms, p_numbers) AS k (room_id, number)
        CROSS JOIN LATERAL (
            SELECT p.user_id, w.concert_id FROM place AS p, waiting_room AS w
            WHERE p.room_id = k.room_id AND p.number = k.number AND w.room_id = k.room_id
            OFFSET 0
        ) AS p
        CROSS JOIN LATERAL (
            SELECT r.reservation_id, r.state, r.room_id, r.place_number FROM reservation AS r
            WHERE r.user_id = p.user_id AND r.concert_id = p.concert_id
                AND r.state IN ('held', 'paid')
            OFFSET 0
        ) AS r
        WHERE r.state = 'held' AND r.room_id = k.room_id AND r.place_number = k.number
    );
END $$;

-- Closes holds: active ones are released, others expired; their seats are free. The reservations and seats
-- are locked already.
-- hot
CREATE OR REPLACE FUNCTION reservation_close(p_reservations uuid[], p_now timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH gone AS (
        UPDATE reservation AS r
        SET state = CASE WHEN r.held_until > p_now THEN 'released' ELSE 'expired' END::reservation_state,
            closed_at = p_now, network = NULL
        FROM (SELECT DISTINCT i FROM unnest(p_reservations) AS i) AS k (reservation_id)
        CROSS JOIN LATERAL (
            SELECT r.ctid AS at FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id
            OFFSET 0
        ) AS l
        WHERE r.ctid = l.at AND r.state = 'held'
        RETURNING r.reservation_id, r.show_id, r.seats
    ),
    freed AS (
        UPDATE seat AS s SET reservation_id = NULL, held_until = NULL
        FROM (SELECT g.reservation_id, g.show_id, unnest(g.seats) AS number FROM gone AS g) AS k
        CROSS JOIN LATERAL (
            SELECT s.ctid AS at FROM seat AS s
            WHERE s.show_id = k.show_id AND s.number = k.number
            OFFSET 0
        ) AS l
        WHERE s.ctid = l.at AND s.reservation_id = k.reservation_id
        RETURNING s.show_id, s.number
    )
    INSERT INTO seat_change (show_id, numbers, changed_at)
    SELECT f.show_id, array_agg(f.number), p_now FROM freed AS f GROUP BY f.show_id;
END $$;

-- Releases holds for their owners. The place is that of the queue token, NULL with a user key; the token must
-- not have ended and must be of the reservation's concert.
-- outcome: released (also if it was released or expired before), reservation_closed (state), not_found,
-- not_allowed, token_finished (reason), credential_invalid.
-- hot
CREATE OR REPLACE FUNCTION reservation_release(
    p_reservations uuid[], p_users uuid[], p_rooms int[], p_numbers int[], p_places uuid[]
)
RETURNS TABLE (item int, outcome text, reason finish_reason, state reservation_state)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    one record;
    closing uuid[] := '{}';
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    PERFORM reservation_lock(p_reservations);
    now := clock_timestamp();

    FOR one IN
        SELECT k.*, r.state, w.concert_id AS token_concert_id, r.concert_id,
            waiting_room_reason(p.state, p.reason, p.expires_at, now) AS reason,
            CASE WHEN k.room_id IS NOT NULL
                THEN waiting_room_standing(p.place_id, p.state, p.expires_at, k.place_id, now)
            END AS standing
        FROM unnest(p_reservations, p_users, p_rooms, p_numbers, p_places)
            WITH ORDINALITY AS k (reservation_id, user_id, room_id, number, place_id, item)
        LEFT JOIN LATERAL (
            SELECT p.place_id, p.state, p.reason, p.expires_at FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number
            OFFSET 0
        ) AS p ON true
        LEFT JOIN LATERAL (
            SELECT w.concert_id FROM waiting_room AS w WHERE w.room_id = k.room_id OFFSET 0
        ) AS w ON true
        LEFT JOIN LATERAL (
            SELECT r.state, r.concert_id FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id
            OFFSET 0
        ) AS r ON true
        ORDER BY k.item
    LOOP
        item := one.item;
        reason := one.reason;
        state := one.state;
        outcome := CASE
            WHEN one.standing NOT IN ('admitted', 'not_admitted') THEN one.standing
            WHEN one.state IS NULL THEN 'not_found'
            WHEN one.concert_id <> one.token_concert_id THEN 'not_allowed'
            WHEN one.state IN ('paid', 'refunded') THEN 'reservation_closed'
            ELSE 'released'
        END;
        IF outcome = 'released' THEN
            closing := closing || one.reservation_id;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM reservation_close(closing, now);
END $$;

-- Ends places because their users leave, and releases their holds. Outcomes: waiting_room_leave.
CREATE OR REPLACE FUNCTION reservation_leave(p_rooms int[], p_numbers int[], p_places uuid[])
RETURNS TABLE (item int, outcome text, reason finish_reason)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    rooms int[] := '{}';
    numbers int[] := '{}';
    holds uuid[];
BEGIN
    FOR item, outcome, reason IN SELECT * FROM waiting_room_leave(p_rooms, p_numbers, p_places) LOOP
        IF outcome = 'left' THEN
            rooms := rooms || p_rooms[item];
            numbers := numbers || p_numbers[item];
        END IF;
        RETURN NEXT;
    END LOOP;
    holds := reservation_held_by(rooms, numbers);
    IF holds <> '{}' THEN
        PERFORM reservation_lock(holds);
        PERFORM reservation_close(holds, clock_timestamp());
    END IF;
END $$;

-- Marks ended holds as expired, the oldest first, and returns their number. Their seats have been free since
-- held_until. Skips rows that are being paid or released, and rows that changed since this statement began:
-- their new ctid is not visible to it.
-- hot
CREATE OR REPLACE FUNCTION reservation_expire(p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz := clock_timestamp();
    n int;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT r.ctid AS at FROM reservation AS r
        WHERE r.state = 'held' AND r.held_until <= now
        ORDER BY r.held_until LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE reservation AS r SET state = 'expired', closed_at = now, network = NULL
    FROM due WHERE r.ctid = due.at;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
