-- Holds of the best seats: chosen under the lock of their sections, then held like any others.

-- Locks sections, in the documented order: who chooses seats in them goes one after the other.
-- hot
CREATE OR REPLACE FUNCTION reservation_lock_sections(p_shows uuid[], p_ordinals int[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (
        SELECT DISTINCT show_id, ordinal FROM unnest(p_shows, p_ordinals) AS k (show_id, ordinal)
        ORDER BY show_id, ordinal
    ) AS k
    CROSS JOIN LATERAL (
        SELECT FROM show_section AS s WHERE s.show_id = k.show_id AND s.ordinal = k.ordinal
        FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- The areas that items want, numbered in order of show and section: a section's sections (several may
-- have one name), or all of a show (NULL). areas: of each item. members: the sections of each area, as
-- indexes into shows and ordinals, which are those of all areas; area a has
-- members[area_from[a] .. area_to[a]], none where there is no such section.
-- hot
CREATE OR REPLACE FUNCTION reservation_areas(
    p_shows uuid[], p_sections text[],
    OUT areas int[], OUT area_from int[], OUT area_to int[], OUT members int[],
    OUT shows uuid[], OUT ordinals int[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH item AS MATERIALIZED (
        SELECT k.*, dense_rank() OVER (ORDER BY k.show_id, k.section) AS area
        FROM unnest(p_shows, p_sections) WITH ORDINALITY AS k (show_id, section, item)
    ),
    member AS MATERIALIZED (
        SELECT a.area, a.show_id, s.ordinal,
            dense_rank() OVER (ORDER BY a.show_id, s.ordinal) AS index,
            row_number() OVER (ORDER BY a.area, s.ordinal) AS at
        FROM (SELECT DISTINCT i.area, i.show_id, i.section FROM item AS i) AS a
        LEFT JOIN LATERAL (
            SELECT s.ordinal FROM show_section AS s
            WHERE s.show_id = a.show_id AND s.name = a.section
            UNION ALL
            SELECT s.ordinal FROM show_section AS s
            WHERE s.show_id = a.show_id AND a.section IS NULL
            OFFSET 0
        ) AS s ON true
    ),
    area AS (
        SELECT m.area, min(m.at) AS first,
            CASE WHEN bool_or(m.ordinal IS NULL) THEN min(m.at) - 1 ELSE max(m.at) END AS last
        FROM member AS m GROUP BY m.area
    ),
    section AS (SELECT DISTINCT m.show_id, m.ordinal, m.index FROM member AS m)
    SELECT (SELECT array_agg(i.area ORDER BY i.item) FROM item AS i),
        (SELECT array_agg(a.first ORDER BY a.area) FROM area AS a),
        (SELECT array_agg(a.last ORDER BY a.area) FROM area AS a),
        (SELECT array_agg(m.index ORDER BY m.at) FROM member AS m),
        (SELECT array_agg(s.show_id ORDER BY s.index) FROM section AS s),
        (SELECT array_agg(s.ordinal ORDER BY s.index) FROM section AS s)
    INTO areas, area_from, area_to, members, shows, ordinals;
END $$;

-- Holds the best free seats (docs/design/adr/0012-best-seats.md): of each item, so many, in a section (NULL:
-- anywhere in the show), side by side where p_together says so.
-- outcome: as of reservation_hold, without seat_taken; and seats_unavailable (available: free seats of
-- what is wanted, together: the longest run of them). seats are the numbers, in order.
-- hot
CREATE OR REPLACE FUNCTION reservation_hold_best(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_reservations uuid[], p_hashes bigint[], p_shows uuid[], p_sections text[], p_counts int[],
    p_together boolean[], p_unpaid_holds int, p_unpaid_seconds int
)
RETURNS TABLE (
    item int, outcome text, reason finish_reason, seat_limit int, retry_after_seconds int,
    available int, together int, seats int[],
    amount bigint, prices bigint[], sections text[], created_at timestamptz, held_until timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    wanted record;
    judged record;
    choice record;
    chosen record;
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    PERFORM reservation_lock_shows(p_shows);
    now := clock_timestamp();
    PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);
    -- Which sections a show has never changes, so they may be read before they are locked.
    SELECT * INTO wanted FROM reservation_areas(p_shows, p_sections);

    -- Who can have no seats anyway is told here, before anybody has to wait for a section; seats are
    -- chosen for the others.
    WITH judgement AS MATERIALIZED (
        SELECT k.item, k.user_id, c.max_seats_per_user AS seat_limit,
            waiting_room_reason(p.state, p.reason, p.expires_at, now) AS reason,
            ceil(extract(epoch FROM mine.barred_until - now))::int AS retry_after_seconds,
            CASE
                WHEN objection IS NOT NULL THEN objection
                WHEN mine.seats + k.count > c.max_seats_per_user THEN 'seat_limit'
                ELSE 'held'
            END AS outcome
        FROM unnest(
            p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows,
            p_counts, wanted.areas
        ) WITH ORDINALITY AS k (
            room_id, number, place_id, user_id, concert_id, reservation_id, request_hash, show_id,
            count, area, item
        )
        LEFT JOIN LATERAL (
            SELECT p.place_id, p.state, p.reason, p.expires_at FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number
            OFFSET 0
        ) AS p ON true
        CROSS JOIN LATERAL waiting_room_standing(
            p.place_id, p.state, p.expires_at, k.place_id, now
        ) AS standing
        LEFT JOIN LATERAL (
            SELECT c.max_seats_per_user FROM concert AS c WHERE c.concert_id = k.concert_id
            OFFSET 0
        ) AS c ON true
        LEFT JOIN LATERAL (
            SELECT s.concert_id, s.sales_end_at FROM show AS s WHERE s.show_id = k.show_id
            OFFSET 0
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT r.request_hash FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id
            OFFSET 0
        ) AS old ON true
        CROSS JOIN LATERAL reservation_account(
            k.user_id, k.concert_id, now, p_unpaid_holds, p_unpaid_seconds
        ) AS mine
        CROSS JOIN LATERAL reservation_objection(
            old.request_hash, k.request_hash, standing, s.concert_id, k.concert_id,
            wanted.area_to[k.area] < wanted.area_from[k.area],
            s.sales_end_at, mine.barred_until, now
        ) AS objection
    ),
    settled AS (
        SELECT j.*, CASE
            WHEN j.outcome = 'held'
                AND j.item > min(j.item) FILTER (WHERE j.outcome = 'held') OVER (PARTITION BY j.user_id)
                THEN 'again'
            ELSE j.outcome
        END AS final
        FROM judgement AS j
    )
    SELECT array_agg(s.final ORDER BY s.item) AS outcomes, array_agg(s.reason ORDER BY s.item) AS reasons,
        array_agg(s.seat_limit ORDER BY s.item) AS limits,
        array_agg(s.retry_after_seconds ORDER BY s.item) AS retries,
        array_agg(s.item::int ORDER BY s.item) FILTER (WHERE s.final = 'held') AS items
    INTO judged FROM settled AS s;

    RETURN QUERY
    SELECT k.item::int, k.outcome, k.reason, k.seat_limit, k.retry, NULL::int, NULL::int,
        r.seats, r.amount, t.prices, t.sections, r.created_at, r.held_until
    FROM unnest(
        judged.outcomes, judged.reasons, judged.limits, judged.retries, p_reservations
    ) WITH ORDINALITY AS k (outcome, reason, seat_limit, retry, reservation_id, item)
    LEFT JOIN LATERAL (
        SELECT r.show_id, r.seats, r.amount, r.created_at, r.held_until FROM reservation AS r
        WHERE k.outcome = 'replayed' AND r.reservation_id = k.reservation_id
        OFFSET 0
    ) AS r ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(t.price ORDER BY n.i) AS prices, array_agg(t.section ORDER BY n.i) AS sections
        FROM unnest(r.seats) WITH ORDINALITY AS n (number, i)
        CROSS JOIN LATERAL (
            SELECT t.price, t.section FROM seat AS t
            WHERE t.show_id = r.show_id AND t.number = n.number
            OFFSET 0
        ) AS t
    ) AS t
    WHERE k.outcome <> 'held';
    IF judged.items IS NULL THEN
        RETURN;
    END IF;

    PERFORM reservation_lock_sections(wanted.shows, wanted.ordinals);
    SELECT * INTO choice FROM reservation_choose(
        ARRAY(SELECT wanted.areas[i] FROM unnest(judged.items) AS i),
        ARRAY(SELECT p_counts[i] FROM unnest(judged.items) AS i),
        ARRAY(SELECT p_together[i] FROM unnest(judged.items) AS i),
        wanted.area_from, wanted.area_to, wanted.members, wanted.shows, wanted.ordinals,
        clock_timestamp()
    );
    RETURN QUERY
    SELECT judged.items[k.i], k.outcome, NULL::finish_reason, NULL::int, NULL::int, k.available, k.together,
        NULL::int[], NULL::bigint, NULL::bigint[], NULL::text[], NULL::timestamptz, NULL::timestamptz
    FROM unnest(choice.outcomes, choice.available, choice.together)
        WITH ORDINALITY AS k (outcome, available, together, i)
    WHERE k.outcome <> 'chosen';

    SELECT array_agg(c.item ORDER BY c.i) AS items, array_agg(c.last - c.count + 1 ORDER BY c.i) AS first,
        array_agg(c.last ORDER BY c.i) AS last,
        ARRAY(
            SELECT p.first + n
            FROM unnest(choice.piece_items, choice.piece_firsts, choice.piece_counts)
                AS p (i, first, count)
            CROSS JOIN LATERAL generate_series(0, p.count - 1) AS n
            WHERE choice.outcomes[p.i] = 'chosen'
            ORDER BY p.i, p.first + n
        ) AS seats
    INTO chosen
    FROM (
        SELECT k.i, judged.items[k.i] AS item, p_counts[judged.items[k.i]] AS count,
            sum(p_counts[judged.items[k.i]]) OVER (ORDER BY k.i)::int AS last
        FROM unnest(choice.outcomes) WITH ORDINALITY AS k (outcome, i)
        WHERE k.outcome = 'chosen'
    ) AS c;
    IF chosen.items IS NULL THEN
        RETURN;
    END IF;

    -- Somebody who named a seat may have taken it meanwhile: then choose again.
    RETURN QUERY
    SELECT chosen.items[h.item], CASE h.outcome WHEN 'seat_taken' THEN 'again' ELSE h.outcome END,
        h.reason, h.seat_limit, h.retry_after_seconds, NULL::int, NULL::int,
        chosen.seats[chosen.first[h.item]:chosen.last[h.item]],
        h.amount, h.prices, h.sections, h.created_at, h.held_until
    FROM reservation_hold(
        ARRAY(SELECT p_rooms[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_numbers[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_places[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_users[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_concerts[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_reservations[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_hashes[i] FROM unnest(chosen.items) AS i),
        ARRAY(SELECT p_shows[i] FROM unnest(chosen.items) AS i),
        chosen.first, chosen.last, chosen.seats, p_unpaid_holds, p_unpaid_seconds, true
    ) AS h;
END $$;
