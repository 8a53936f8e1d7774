-- The best seats (docs/design/adr/0012-best-seats.md): chosen under the lock of their show, then held like
-- named ones. A place is p_size free seats side by side in one row; a lone seat is a free one without a free
-- seat beside it. Conventions as in waiting_room/functions.sql.

-- Holds the best free seats: for item i p_counts[i] of them, in the section p_sections[i] (NULL: anywhere in
-- the show), side by side where p_together says so. p_search_from: see reservation_best_seats.
-- outcome: as of reservation_hold, without seat_taken; and seats_unavailable: available is how many seats
-- are free, together how many of them side by side.
-- hot
CREATE OR REPLACE FUNCTION reservation_hold_best(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_reservations uuid[], p_hashes bigint[], p_shows uuid[], p_counts int[], p_sections text[],
    p_together boolean[], p_networks bigint[], p_search_from int[], p_address_seats int[],
    p_unpaid_holds int, p_unpaid_seconds int
)
RETURNS TABLE (
    item int, outcome text, reason finish_reason, available int, together int, seat_limit int,
    retry_after_seconds int, by_address boolean, seats int[], amount bigint, prices bigint[], sections text[],
    created_at timestamptz, held_until timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz;
    net record;
    may record;
    choice record;
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    PERFORM reservation_lock_networks(p_rooms, p_networks);
    PERFORM reservation_lock_for_choice(p_shows);
    now := clock_timestamp();
    SELECT * INTO net FROM reservation_addresses(p_rooms, p_networks, p_address_seats, now);
    -- Seats are chosen only for items that may hold some: one hold of each user.
    WITH judged AS MATERIALIZED (
        SELECT DISTINCT ON (p_users[j.item]) j.item::int, j.ended_holds FROM reservation_judge(
            p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows,
            p_counts, NULL, NULL, p_sections, net.free, net.free_at, p_unpaid_holds,
            p_unpaid_seconds, now
        ) AS j
        WHERE j.outcome = 'again' ORDER BY p_users[j.item], j.item
    )
    SELECT (SELECT array_agg(j.item) FROM judged AS j) AS items,
        array_agg(j.item) AS barred_items, array_agg(s) AS barred_seats
    INTO may FROM judged AS j
    CROSS JOIN LATERAL unnest(j.ended_holds) AS k (reservation_id)
    CROSS JOIN LATERAL (
        SELECT unnest(r.seats) AS s FROM reservation AS r
        WHERE r.reservation_id = k.reservation_id
        OFFSET 0
    ) AS r;
    SELECT * INTO choice FROM reservation_choose(
        may.items, p_shows, p_sections, p_counts, p_together, p_search_from, now,
        may.barred_items, may.barred_seats
    );
    RETURN QUERY
    SELECT h.item,
        CASE
            WHEN h.outcome = 'again' AND choice.available[h.item] IS NOT NULL THEN 'seats_unavailable'
            WHEN h.outcome NOT IN ('seat_taken', 'recently_released') THEN h.outcome
            ELSE 'again' -- meanwhile another user has held a chosen seat, or this user's hold of it has expired
        END,
        h.reason, choice.available[h.item], choice.together[h.item], h.seat_limit,
        h.retry_after_seconds, h.by_address, h.seats, h.amount, h.prices, h.sections, h.created_at, h.held_until
    FROM reservation_hold(
        p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows, p_counts,
        choice.lasts, choice.seats, p_sections, p_networks, p_address_seats, p_unpaid_holds,
        p_unpaid_seconds
    ) AS h;
END $$;

-- Locks shows for a choice of seats, in the documented order: choices in one show go one after the other.
-- Holds of named seats lock their show shared, so they don't wait.
CREATE OR REPLACE FUNCTION reservation_lock_for_choice(p_shows uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (SELECT DISTINCT s FROM unnest(p_shows) AS s ORDER BY s) AS k (show_id)
    CROSS JOIN LATERAL (
        SELECT FROM show AS s WHERE s.show_id = k.show_id FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- Chooses seats for p_items, by the order of the first item that wants the same number of the same section:
-- those of item i end at seats[lasts[i]]. Where too few are left, available and together describe the free
-- seats of its section; not if earlier items were given seats of the show, since those items may still be
-- refused. Item p_barred_items[n] may not have the seat p_barred_seats[n] of its show.
CREATE OR REPLACE FUNCTION reservation_choose(
    p_items int[], p_shows uuid[], p_sections text[], p_counts int[], p_together boolean[],
    p_search_from int[], p_now timestamptz, p_barred_items int[] DEFAULT NULL,
    p_barred_seats int[] DEFAULT NULL,
    OUT lasts int[], OUT seats int[], OUT available int[], OUT together int[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wish record;
    best record;
    last_show uuid;
    show_from int; -- where the seats of this show begin
    size int;
    used int;
    item int;
BEGIN
    lasts := array_fill(NULL::int, ARRAY[cardinality(p_shows)]);
    available := lasts;
    together := lasts;
    seats := '{}';
    FOR wish IN
        SELECT p_shows[i] AS show_id, p_sections[i] AS section, p_counts[i] AS count,
            barred.seats AS barred, array_agg(i ORDER BY i) AS items,
            max(p_search_from[i]) AS search_from
        FROM unnest(p_items) AS i
        CROSS JOIN LATERAL (
            SELECT array_agg(b.seat) AS seats FROM unnest(p_barred_items, p_barred_seats) AS b (item, seat)
            WHERE b.item = i
        ) AS barred
        GROUP BY 1, 2, 3, 4 ORDER BY 1, min(i)
    LOOP
        IF wish.show_id IS DISTINCT FROM last_show THEN
            last_show := wish.show_id;
            show_from := cardinality(seats) + 1;
        END IF;
        size := wish.count;
        used := 0;
        best := reservation_best_seats(
            wish.show_id, wish.section, cardinality(wish.items), wish.count, size, wish.search_from,
            seats[show_from:] || wish.barred, p_now
        );
        FOREACH item IN ARRAY wish.items LOOP
            IF used + wish.count > cardinality(best.numbers) AND size > 1 AND NOT p_together[item] THEN
                size := 1; -- one by one from now on
                used := 0;
                best.numbers := (reservation_best_seats(
                    wish.show_id, wish.section, cardinality(wish.items), wish.count, size, NULL,
                    seats[show_from:] || wish.barred, p_now
                )).numbers;
            END IF;
            IF used + wish.count <= cardinality(best.numbers)
                AND (size = wish.count OR NOT p_together[item])
            THEN
                seats := seats || best.numbers[used + 1 : used + wish.count];
                lasts[item] := cardinality(seats);
                used := used + wish.count;
            ELSIF cardinality(seats) < show_from THEN
                available[item] := best.available;
                together[item] := best.together;
            END IF;
        END LOOP;
    END LOOP;
END $$;

-- The best free seats for p_items items of p_count seats each, in places of p_size (p_count, or 1), in a
-- section (NULL: the show) without p_taken: the numbers of one item after the other, as far as there are
-- any; and how many seats are free, and side by side at most, if all of them were read. p_search_from: in
-- rows before that seat's, each place leaves a lone seat; NULL: read all.
CREATE OR REPLACE FUNCTION reservation_best_seats(
    p_show_id uuid, p_section text, p_items int, p_count int, p_size int, p_search_from int,
    p_taken int[], p_now timestamptz, OUT numbers int[], OUT available int, OUT together int
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    taken int4multirange := (SELECT range_agg(int4range(t, t, '[]')) FROM unnest(p_taken) AS t);
    places int := p_items * (p_count / p_size);
    most int := 2 * p_items * p_count + 100;
    firsts int[];
    widths int[];
    section int;
    good int;
BEGIN
    SELECT array_agg(b.first_number ORDER BY b.ordinal), array_agg(b.seats_per_row ORDER BY b.ordinal)
    INTO firsts, widths FROM show_section AS b WHERE b.show_id = p_show_id;
    section := width_bucket(p_search_from, firsts);
    IF widths[section] <= 100 THEN -- to the beginning of the row
        p_search_from := p_search_from - (p_search_from - firsts[section]) % widths[section];
    END IF;
    LOOP
        WITH run AS MATERIALIZED (
            SELECT r.* FROM reservation_free_runs(
                p_show_id, p_section, firsts, widths, p_search_from, most, taken, p_now
            ) AS r
        ),
        best AS MATERIALIZED (
            SELECT p.start, p.lone,
                row_number() OVER (ORDER BY p.lone, r.row_first, p.distance, p.side, p.turn) - 1 AS rank
            FROM run AS r
            CROSS JOIN LATERAL reservation_places(r.first, r.last, r.middle, p_size) AS p
            ORDER BY rank LIMIT places
        )
        SELECT ARRAY(
                SELECT b.start + i FROM best AS b CROSS JOIN generate_series(0, p_size - 1) AS i
                ORDER BY b.rank / (p_count / p_size), b.start + i
            ),
            (SELECT count(*) FROM best AS b WHERE NOT b.lone),
            coalesce(sum(r.last - r.first + 1), 0), coalesce(max(r.last - r.first + 1), 0)
        INTO numbers, good, available, together FROM run AS r;
        EXIT WHEN p_search_from IS NULL OR good = places;
        p_search_from := NULL;
    END LOOP;
END $$;

-- The free runs of a show or section without p_taken: free seats side by side in one row. With p_from, only
-- those of the next p_most free seats, without the last row, which may be cut off. p_firsts, p_widths: first
-- number and row length of each section. middle: twice the number of the row's middle; rows of more than 100
-- seats have none, and are filled from their lowest number.
CREATE OR REPLACE FUNCTION reservation_free_runs(
    p_show_id uuid, p_section text, p_firsts int[], p_widths int[], p_from int, p_most int,
    p_taken int4multirange, p_now timestamptz
)
RETURNS TABLE (first int, last int, row_first int, middle int) LANGUAGE sql STABLE AS $$
    WITH free AS MATERIALIZED (
        SELECT s.number, b.width, s.number - (s.number - b.first) % b.width AS row_first,
            s.number - row_number() OVER (ORDER BY s.number) AS run
        FROM (
            SELECT s.number FROM seat AS s
            WHERE s.show_id = p_show_id AND s.number >= coalesce(p_from, 1)
                AND (s.held_until IS NULL OR s.held_until <= p_now)
                AND (p_section IS NULL OR s.section = p_section)
                AND (s.number <@ p_taken) IS NOT TRUE
            ORDER BY s.number LIMIT CASE WHEN p_from IS NOT NULL THEN p_most END
        ) AS s
        CROSS JOIN LATERAL (
            SELECT p_firsts[i] AS first, p_widths[i] AS width FROM width_bucket(s.number, p_firsts) AS i
        ) AS b
    )
    SELECT min(f.number), max(f.number), f.row_first,
        2 * f.row_first + CASE WHEN f.width <= 100 THEN f.width - 1 ELSE 0 END
    FROM free AS f
    CROSS JOIN (SELECT count(*) AS seats, max(f.row_first) AS last_row FROM free AS f) AS a
    WHERE p_from IS NULL OR f.width > 100 OR a.seats < p_most OR f.row_first < a.last_row
    GROUP BY f.row_first, f.width, f.run
$$;

-- The places in a free run: one over the row's middle, if the run is longer by two or more, and from there, or
-- from the run's inner end, outwards; the best by distance, side and turn. lone: it leaves a lone seat; of
-- single seats the last but one does so, and the seat that it leaves is next, so it has the same distance.
CREATE OR REPLACE FUNCTION reservation_places(p_first int, p_last int, p_middle int, p_size int)
RETURNS TABLE (start int, lone boolean, distance int, side int, turn int) LANGUAGE sql IMMUTABLE AS $$
    SELECT p.start, p.leftover OR s.length - turn * p_size = 1,
        greatest(
            abs(2 * (p.start - CASE WHEN p.leftover THEN s.step ELSE 0 END) + p_size - 1 - p_middle),
            abs(2 * c.over + p_size - 1 - p_middle)
        ),
        s.side, turn
    FROM (
        SELECT CASE WHEN p_last - p_first > p_size AND p_middle BETWEEN 2 * p_first AND 2 * p_last
            THEN reservation_middle_start(p_first, p_last, p_middle, p_size) END AS over,
            CASE WHEN p_first + p_last >= p_middle THEN p_first ELSE p_last + 1 END AS inner_end
        OFFSET 0
    ) AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(c.over, c.inner_end) AS lower, coalesce(c.over + p_size, c.inner_end) AS upper
    ) AS e
    CROSS JOIN LATERAL (
        VALUES
            (0, c.over - p_size, p_size, CASE WHEN c.over IS NULL THEN 0 ELSE p_size END),
            (1, e.lower, -p_size, e.lower - p_first),
            (2, e.upper - p_size, p_size, p_last + 1 - e.upper)
    ) AS s (side, before, step, length)
    CROSS JOIN LATERAL generate_series(1, s.length / p_size) AS turn
    CROSS JOIN LATERAL (
        SELECT s.before + turn * s.step AS start,
            p_size = 1 AND s.length > 1 AND s.length = turn AS leftover
    ) AS p
$$;

-- Where a place is best in a free run over the row's middle that is longer by two or more: nearest to the
-- middle, but leaving no lone seat at either end.
CREATE OR REPLACE FUNCTION reservation_middle_start(p_first int, p_last int, p_middle int, p_size int)
RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    last_start int := p_last - p_size + 1;
    nearest int := least(greatest((p_middle - p_size + 1) / 2, p_first), last_start);
    exact boolean := 2 * nearest + p_size - 1 = p_middle;
BEGIN
    RETURN CASE
        WHEN nearest NOT IN (p_first + 1, last_start - 1) THEN nearest
        WHEN nearest - 1 <> p_first + 1 AND (exact OR nearest + 1 = last_start - 1) THEN nearest - 1
        ELSE nearest + 1
    END;
END $$;
