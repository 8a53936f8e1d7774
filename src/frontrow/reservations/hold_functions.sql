-- Holds seats in steps: lock, decide each item, resolve conflicts between items, write, report. Conventions as
-- in
-- waiting_room/functions.sql. Item i of the arrays wants p_counts[i] seats of a show: those of p_seats that
-- end at p_lasts[i], each number once; NULL in p_lasts: no seats are chosen for it.

-- Holds seats, all or nothing for each item. p_lasts NULL: p_seats are those of one item after the other.
-- outcome: held; replayed (the reservation with this id exists already); again (run again: no seats are
-- chosen, or it met an earlier item of these arrays on the same user, id or seat);
-- idempotency_key_reused, credential_invalid, token_finished (reason), not_admitted, not_found,
-- not_allowed (a show of another concert), sign_in_required, show_closed, rate_limited (retry_after_seconds;
-- by_address: too many seats are held from the client's network), seat_taken (taken), recently_released (taken,
-- retry_after_seconds: the user released these seats, or let them expire), seat_limit (seat_limit).
-- p_networks: the clients' networks (NULL: unknown); p_address_seats: see reservation_addresses.
-- hot
CREATE OR REPLACE FUNCTION reservation_hold(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_reservations uuid[], p_hashes bigint[], p_shows uuid[], p_counts int[], p_lasts int[],
    p_seats int[], p_sections text[], p_networks bigint[], p_address_seats int[], p_unpaid_holds int,
    p_unpaid_seconds int
)
RETURNS TABLE (
    item int, outcome text, reason finish_reason, taken int[], seat_limit int, retry_after_seconds int,
    by_address boolean, seats int[], amount bigint, prices bigint[], sections text[],
    created_at timestamptz, held_until timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    net record;
    lasts int[] := coalesce(p_lasts, ARRAY(
        SELECT sum(k.count) OVER (ORDER BY k.item)::int
        FROM unnest(p_counts) WITH ORDINALITY AS k (count, item) ORDER BY k.item
    ));
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    PERFORM reservation_lock_networks(p_rooms, p_networks);
    PERFORM reservation_lock_shows(p_shows);
    PERFORM reservation_lock_seats(array_agg(k.show_id), array_agg(s))
    FROM unnest(p_shows, p_counts, lasts) AS k (show_id, count, last)
    CROSS JOIN LATERAL unnest(p_seats[k.last - k.count + 1 : k.last]) AS s;
    now := clock_timestamp();
    PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);
    SELECT * INTO net FROM reservation_addresses(p_rooms, p_networks, p_address_seats, now);

    RETURN QUERY
    WITH decided AS MATERIALIZED (
        SELECT d.* FROM reservation_decide(
            p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows, p_counts,
            lasts, p_seats, p_sections, net.widest, net.free, net.free_at, p_unpaid_holds, p_unpaid_seconds, now
        ) AS d
    ),
    held AS MATERIALIZED (SELECT * FROM decided AS d WHERE d.outcome = 'held'),
    written AS (
        INSERT INTO reservation (
            reservation_id, user_id, concert_id, show_id, room_id, place_number, request_hash, seats,
            amount, created_at, held_until, network
        )
        SELECT p_reservations[h.item], p_users[h.item], p_concerts[h.item], p_shows[h.item],
            p_rooms[h.item], p_numbers[h.item], p_hashes[h.item], h.seats, h.amount, h.created_at,
            h.held_until, p_networks[h.item]
        FROM held AS h
        ORDER BY p_reservations[h.item]
    ),
    assigned AS (
        UPDATE seat AS s SET reservation_id = p_reservations[h.item], held_until = h.held_until
        FROM (SELECT h.item, h.held_until, unnest(h.seats_at) AS at FROM held AS h) AS h
        WHERE s.ctid = h.at
    ),
    logged AS (
        INSERT INTO seat_change (show_id, numbers, changed_at)
        SELECT p_shows[h.item], array_agg(s), now
        FROM held AS h CROSS JOIN LATERAL unnest(h.seats) AS s
        GROUP BY p_shows[h.item]
    ),
    extended AS (
        UPDATE place AS p SET expires_at = h.held_until
        FROM held AS h
        WHERE p.ctid = h.place_at AND p.expires_at < h.held_until
    )
    SELECT d.item::int, d.outcome, d.reason, d.taken, d.seat_limit, d.retry_after_seconds,
        d.by_address, d.seats, d.amount, d.prices, d.sections, d.created_at, d.held_until
    FROM decided AS d;
END $$;

-- Decides which items hold their seats: of two items with the same user or seat, the earlier one; the later one
-- is run again, as is one that would exceed the limit of its address together with earlier ones. Outcomes:
-- reservation_hold.
CREATE OR REPLACE FUNCTION reservation_decide(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_reservations uuid[], p_hashes bigint[], p_shows uuid[], p_counts int[], p_lasts int[],
    p_seats int[], p_sections text[], p_widest bigint[], p_free int[], p_free_at timestamptz[],
    p_unpaid_holds int, p_unpaid_seconds int, p_now timestamptz
)
RETURNS TABLE (
    item bigint, outcome text, reason finish_reason, taken int[], seat_limit int,
    retry_after_seconds int, by_address boolean, seats int[], amount bigint, prices bigint[], sections text[],
    created_at timestamptz, held_until timestamptz, place_at tid, seats_at tid[]
)
LANGUAGE sql STABLE AS $$
    WITH judged AS MATERIALIZED (
        SELECT j.* FROM reservation_judge(
            p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows,
            p_counts, p_lasts, p_seats, p_sections, p_free, p_free_at, p_unpaid_holds, p_unpaid_seconds,
            p_now
        ) AS j
    ),
    -- One flag an item, in their order.
    meeting AS MATERIALIZED (
        SELECT array_agg(m.late ORDER BY m.item) AS late FROM (
            SELECT m.item, bool_or(m.item > least(m.by_seat, m.by_user)) AS late FROM (
                SELECT j.item,
                    min(j.item) FILTER (WHERE j.outcome = 'held')
                        OVER (PARTITION BY p_shows[j.item], s) AS by_seat,
                    min(j.item) FILTER (WHERE j.outcome = 'held')
                        OVER (PARTITION BY p_users[j.item]) AS by_user
                FROM judged AS j LEFT JOIN LATERAL unnest(j.seats) AS s ON true
            ) AS m
            GROUP BY m.item
        ) AS m
    ),
    -- Counts all items of an IPv6 /48 together, which may be too many: these are run again too.
    crowded AS MATERIALIZED (
        SELECT array_agg(c.item) AS items FROM (
            SELECT j.item, sum(p_counts[j.item]) OVER (
                PARTITION BY p_rooms[j.item], p_widest[j.item] ORDER BY j.item
            ) AS wanted
            FROM judged AS j WHERE j.outcome = 'held' AND p_free[j.item] IS NOT NULL
        ) AS c
        WHERE c.wanted > p_free[c.item]
    )
    SELECT j.item,
        CASE
            WHEN j.outcome = 'held' AND (m.late[j.item] OR j.item = ANY (c.items)) THEN 'again'
            ELSE j.outcome
        END,
        j.reason, j.taken, j.seat_limit, j.retry_after_seconds, j.by_address, j.seats, j.amount, j.prices,
        j.sections, j.created_at, j.held_until, j.place_at, j.seats_at
    FROM judged AS j CROSS JOIN meeting AS m CROSS JOIN crowded AS c
$$;

-- Decides each item on its own, at p_now. p_sections: the names of sections that must exist, NULL: none.
-- Outcomes: reservation_hold. seats: for a replay, the seats of its reservation. place_at, seats_at: where the
-- rows are. p_free, p_free_at: see reservation_addresses. ended_holds: the user's reservations with seats of
-- this show that the user may not hold again yet.
CREATE OR REPLACE FUNCTION reservation_judge(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_reservations uuid[], p_hashes bigint[], p_shows uuid[], p_counts int[], p_lasts int[],
    p_seats int[], p_sections text[], p_free int[], p_free_at timestamptz[], p_unpaid_holds int,
    p_unpaid_seconds int, p_now timestamptz
)
RETURNS TABLE (
    item bigint, outcome text, reason finish_reason, taken int[], seat_limit int,
    retry_after_seconds int, by_address boolean, seats int[], amount bigint, prices bigint[], sections text[],
    created_at timestamptz, held_until timestamptz, place_at tid, seats_at tid[], ended_holds uuid[]
)
LANGUAGE sql STABLE AS $$
    SELECT k.item,
        CASE
            WHEN old.request_hash = k.request_hash THEN 'replayed'
            WHEN old.request_hash IS NOT NULL THEN 'idempotency_key_reused'
            WHEN p.outcome <> 'admitted' THEN p.outcome
            WHEN s.show_id IS NULL THEN 'not_found'
            WHEN s.concert_id <> k.concert_id THEN 'not_allowed'
            WHEN w.missing THEN 'not_found'
            WHEN NOT c.guests AND user_is_guest(k.user_id) THEN 'sign_in_required'
            WHEN s.sales_end_at <= p_now THEN 'show_closed'
            WHEN mine.barred_until IS NOT NULL THEN 'rate_limited'
            WHEN w.taken IS NOT NULL THEN 'seat_taken'
            WHEN mine.ended_seats IS NOT NULL THEN 'recently_released'
            WHEN mine.seats + k.count > c.max_seats_per_user THEN 'seat_limit'
            WHEN k.count > k.free THEN 'rate_limited'
            WHEN wanted.seats IS NULL THEN 'again'
            ELSE 'held'
        END,
        p.reason, coalesce(w.taken, mine.ended_seats), c.max_seats_per_user,
        ceil(extract(epoch FROM coalesce(mine.barred_until, mine.seats_until, k.free_at) - p_now))::int,
        mine.barred_until IS NULL, wanted.seats, w.amount, w.prices, w.sections, coalesce(old.created_at, p_now),
        -- A hold extends the session to its end, but by one hold at most.
        coalesce(old.held_until, least(
            p_now + make_interval(secs => c.hold_seconds),
            greatest(p.session_until + make_interval(secs => c.hold_seconds), p.expires_at)
        )),
        p.at, w.at, mine.ended_holds
    FROM unnest(
        p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows, p_counts,
        p_lasts, p_sections, p_free, p_free_at
    ) WITH ORDINALITY AS k (
        room_id, number, place_id, user_id, concert_id, reservation_id, request_hash, show_id, count,
        last, section, free, free_at, item
    )
    CROSS JOIN LATERAL reservation_place(k.room_id, k.number, k.place_id, p_now) AS p
    LEFT JOIN LATERAL (SELECT * FROM concert AS c WHERE c.concert_id = k.concert_id OFFSET 0) AS c ON true
    LEFT JOIN LATERAL (SELECT * FROM show AS s WHERE s.show_id = k.show_id OFFSET 0) AS s ON true
    LEFT JOIN LATERAL (
        SELECT r.request_hash, r.seats, r.created_at, r.held_until FROM reservation AS r
        WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id
        OFFSET 0
    ) AS old ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(old.seats, p_seats[k.last - k.count + 1 : k.last]) AS seats
    ) AS wanted
    CROSS JOIN LATERAL reservation_wanted_seats(k.show_id, k.section, wanted.seats, p_now) AS w
    CROSS JOIN LATERAL reservation_account(
        k.user_id, k.concert_id, k.show_id, wanted.seats, c.hold_seconds, p_unpaid_holds,
        p_unpaid_seconds, p_now
    ) AS mine
$$;

-- Describes the place of a token at p_now: outcome and reason as of waiting_room_standing and
-- waiting_room_reason, the end of its session, and at: where its row is.
CREATE OR REPLACE FUNCTION reservation_place(
    p_room_id int, p_number int, p_place_id uuid, p_now timestamptz
)
RETURNS TABLE (
    outcome text, reason finish_reason, expires_at timestamptz, session_until timestamptz, at tid
)
LANGUAGE sql STABLE AS $$
    SELECT standing, waiting_room_reason(p.state, p.reason, p.expires_at, p_now), p.expires_at,
        p.session_until, p.at
    FROM (VALUES (1)) AS one
    LEFT JOIN LATERAL (
        SELECT p.ctid AS at, p.place_id, p.state, p.reason, p.expires_at, p.session_until
        FROM place AS p WHERE p.room_id = p_room_id AND p.number = p_number
        OFFSET 0
    ) AS p ON true
    CROSS JOIN LATERAL waiting_room_standing(
        p.place_id, p.state, p.expires_at, p_place_id, p_now
    ) AS standing
$$;

-- Describes seats of a show at p_now: amount, prices and sections in order of number; taken: those that a
-- reservation has; at: where their rows are; missing: a seat, or the section, is not part of the show.
CREATE OR REPLACE FUNCTION reservation_wanted_seats(
    p_show_id uuid, p_section text, p_seats int[], p_now timestamptz
)
RETURNS TABLE (
    amount bigint, prices bigint[], sections text[], taken int[], at tid[], missing boolean
)
LANGUAGE sql STABLE AS $$
    SELECT sum(t.price)::bigint, array_agg(t.price ORDER BY n.number),
        array_agg(t.section ORDER BY n.number),
        array_agg(n.number ORDER BY n.number) FILTER (WHERE t.held_until > p_now),
        array_agg(t.at),
        bool_or(t.price IS NULL) IS TRUE OR (
            p_section IS NOT NULL AND NOT EXISTS (
                SELECT FROM show_section AS b WHERE b.show_id = p_show_id AND b.name = p_section
            )
        )
    FROM unnest(p_seats) AS n (number)
    LEFT JOIN LATERAL (
        SELECT t.ctid AS at, t.price, t.section, t.held_until FROM seat AS t
        WHERE t.show_id = p_show_id AND t.number = n.number
        OFFSET 0
    ) AS t ON true
$$;
