-- Limits on holds: by user, and by the client's address. Conventions as in waiting_room/functions.sql.

-- Returns the number of seats of a concert that a user holds and owns; the time until which the user may not
-- hold more (NULL: holds are allowed); the reservations in a show that the user released or let expire in the
-- last p_hold_seconds (NULL: none); which of p_seats they had (ended_seats; NULL: none), and until when the
-- user may not hold these. Holds are refused while p_unpaid_holds holds were released or expired in the last
-- p_unpaid_seconds. Holds that ended with their show, or by the payment of another hold, don't count.
CREATE OR REPLACE FUNCTION reservation_account(
    p_user_id uuid, p_concert_id uuid, p_show_id uuid, p_seats int[], p_hold_seconds int,
    p_unpaid_holds int, p_unpaid_seconds int, p_now timestamptz
)
RETURNS TABLE (
    seats bigint, barred_until timestamptz, ended_holds uuid[], ended_seats int[], seats_until timestamptz
)
LANGUAGE sql STABLE AS $$
    SELECT mine.seats, CASE
        WHEN mine.overdue >= p_unpaid_holds THEN coalesce(gone.closed_at[1], p_now)
        WHEN gone.closed_at[p_unpaid_holds - mine.overdue] > p_now - make_interval(secs => p_unpaid_seconds)
            THEN gone.closed_at[p_unpaid_holds - mine.overdue]
        END + make_interval(secs => p_unpaid_seconds),
        mine.ended_holds || gone.ended_holds,
        CASE WHEN mine.ended_holds || gone.ended_holds IS NOT NULL THEN (
            SELECT g.seats FROM reservation_ended_seats(mine.ended_holds || gone.ended_holds, p_seats) AS g
        ) END,
        CASE WHEN mine.ended_holds || gone.ended_holds IS NOT NULL THEN (
            SELECT g.ended_at + make_interval(secs => p_hold_seconds)
            FROM reservation_ended_seats(mine.ended_holds || gone.ended_holds, p_seats) AS g
        ) END
    FROM (
        SELECT coalesce(sum(cardinality(r.seats)) FILTER (
                WHERE r.state = 'paid' OR r.held_until > p_now
            ), 0) AS seats,
            count(*) FILTER (
                WHERE r.state = 'held' AND r.held_until <= p_now
                    AND r.held_until > p_now - make_interval(secs => p_unpaid_seconds)
            )::int AS overdue,
            array_agg(r.reservation_id) FILTER (
                WHERE r.state = 'held' AND r.held_until <= p_now AND r.show_id = p_show_id
                    AND r.held_until > p_now - make_interval(secs => p_hold_seconds)
            ) AS ended_holds
        FROM reservation AS r
        WHERE r.user_id = p_user_id AND r.concert_id = p_concert_id AND r.state IN ('held', 'paid')
    ) AS mine
    CROSS JOIN LATERAL (
        SELECT array_agg(r.closed_at) AS closed_at,
            array_agg(r.reservation_id) FILTER (
                WHERE r.show_id = p_show_id
                    AND least(r.closed_at, r.held_until) > p_now - make_interval(secs => p_hold_seconds)
            ) AS ended_holds
        FROM (
            SELECT * FROM reservation AS r
            WHERE r.user_id = p_user_id AND r.concert_id = p_concert_id
                AND r.state IN ('released', 'expired')
                AND r.closed_at > p_now - make_interval(secs => greatest(p_unpaid_seconds, p_hold_seconds))
                AND (
                    r.state = 'released' AND r.closed_at IN (
                        (SELECT s.cancelled_at FROM show AS s WHERE s.show_id = r.show_id),
                        (
                            SELECT p.finished_at FROM place AS p
                            WHERE p.room_id = r.room_id AND p.number = r.place_number AND p.reason = 'paid'
                        )
                    )
                ) IS NOT TRUE
            ORDER BY r.closed_at DESC
        ) AS r
    ) AS gone
$$;

-- Returns which of p_seats were in ended reservations of their user (NULL: none), and when the last of these
-- ended.
CREATE OR REPLACE FUNCTION reservation_ended_seats(p_reservations uuid[], p_seats int[])
RETURNS TABLE (seats int[], ended_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT array_agg(DISTINCT s ORDER BY s), max(least(r.closed_at, r.held_until))
    FROM unnest(p_reservations) AS k (reservation_id)
    CROSS JOIN LATERAL (
        SELECT r.seats, r.closed_at, r.held_until FROM reservation AS r
        WHERE r.reservation_id = k.reservation_id
        OFFSET 0
    ) AS r
    CROSS JOIN LATERAL unnest(r.seats) AS s
    WHERE s = ANY (p_seats)
$$;

-- The widest network that is counted for a client: of an IPv4 address itself, of an IPv6 address its /48. A
-- network is the number of an IPv4 address, or the first 64 bits of an IPv6 address.
CREATE OR REPLACE FUNCTION reservation_widest_network(p_network bigint)
RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_network BETWEEN 0 AND 4294967295 THEN p_network ELSE p_network & ~65535::bigint END
$$;

-- Locks the networks of clients, so that their unpaid seats can be counted: by a hash, since a transaction may
-- hold only a limited number of these locks. NULL: an unknown network, which has no limit.
-- hot
CREATE OR REPLACE FUNCTION reservation_lock_networks(p_rooms int[], p_networks bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF array_remove(p_networks, NULL) = '{}' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(1179603543, k.lock)
    FROM (
        SELECT DISTINCT hashint8(reservation_widest_network(k.network) # k.room_id) & 1023 AS lock
        FROM unnest(p_rooms, p_networks) AS k (room_id, network)
        WHERE k.network IS NOT NULL
        ORDER BY 1
    ) AS k;
END $$;

-- How many more seats of its room's concert each network may hold unpaid (free), when the first of its holds
-- ends (free_at), and its widest network; NULL: unlimited. p_address_seats: the limits of an IPv4 address, and
-- of the /64, /56 and /48 of an IPv6 address; NULL: unlimited.
-- hot
CREATE OR REPLACE FUNCTION reservation_addresses(
    p_rooms int[], p_networks bigint[], p_address_seats int[], p_now timestamptz,
    OUT widest bigint[], OUT free int[], OUT free_at timestamptz[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF array_remove(p_networks, NULL) = '{}' THEN
        RETURN;
    END IF;
    SELECT array_agg(w ORDER BY k.item), array_agg(held.until ORDER BY k.item),
        array_agg(
            CASE WHEN w = k.network AND w BETWEEN 0 AND 4294967295 THEN p_address_seats[1] - held.narrow
                ELSE least(
                    p_address_seats[2] - held.narrow, p_address_seats[3] - held.middle,
                    p_address_seats[4] - held.wide
                )
            END ORDER BY k.item
        )
    INTO widest, free_at, free
    FROM unnest(p_rooms, p_networks) WITH ORDINALITY AS k (room_id, network, item)
    CROSS JOIN LATERAL reservation_widest_network(k.network) AS w
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(cardinality(r.seats)) FILTER (WHERE r.network = k.network), 0)::int AS narrow,
            coalesce(sum(cardinality(r.seats)) FILTER (
                WHERE r.network BETWEEN k.network & ~255::bigint AND k.network | 255
            ), 0)::int AS middle,
            coalesce(sum(cardinality(r.seats)), 0)::int AS wide,
            coalesce(min(r.held_until), p_now + interval '1 second') AS until
        FROM reservation AS r
        WHERE r.room_id = k.room_id AND r.network >= w
            AND r.network <= CASE WHEN w BETWEEN 0 AND 4294967295 THEN w ELSE w | 65535 END
            AND r.network IS NOT NULL AND r.held_until > p_now
    ) AS held;
END $$;
