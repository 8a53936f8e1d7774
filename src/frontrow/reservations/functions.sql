-- Where seats are held. Conventions as in waiting_room/functions.sql; the lock order is room → places
-- → show (shared) → sections → reservations → seats → wallets.

-- Locks seats, in the documented order. For payments' functions too.
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

-- Locks shows, shared: whoever would cancel or close one locks it FOR UPDATE and waits for buyers.
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

-- The live holds of places: what a leave or a payment lets go. The places are locked, so none can be
-- added meanwhile.
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

-- Lets holds go: released where they were still live, expired where not; the seats are free at once.
-- The reservations and seats are locked already.
-- hot
CREATE OR REPLACE FUNCTION reservation_let_go(p_reservations uuid[], p_now timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH gone AS (
        UPDATE reservation AS r
        SET state = CASE WHEN r.held_until > p_now THEN 'released' ELSE 'expired' END::reservation_state,
            closed_at = p_now
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

-- What a user has of a concert: seats held and owned, and until when no further hold is theirs to make
-- (NULL: they may). That is so once p_unpaid_holds were let go in the last p_unpaid_seconds, released or
-- expired. Those don't count that ended with their show or by a payment: the user let nothing go.
CREATE OR REPLACE FUNCTION reservation_account(
    p_user_id uuid, p_concert_id uuid, p_now timestamptz, p_unpaid_holds int, p_unpaid_seconds int
)
RETURNS TABLE (seats bigint, barred_until timestamptz) LANGUAGE sql STABLE AS $$
    SELECT mine.seats, CASE
        WHEN mine.overdue >= p_unpaid_holds OR gone.closed_at IS NOT NULL
            THEN coalesce(gone.closed_at, p_now) + make_interval(secs => p_unpaid_seconds)
        END
    FROM (
        SELECT coalesce(sum(cardinality(r.seats)) FILTER (
                WHERE r.state = 'paid' OR r.held_until > p_now
            ), 0) AS seats,
            count(*) FILTER (
                WHERE r.state = 'held' AND r.held_until <= p_now
                    AND r.held_until > p_now - make_interval(secs => p_unpaid_seconds)
            ) AS overdue
        FROM reservation AS r
        WHERE r.user_id = p_user_id AND r.concert_id = p_concert_id AND r.state IN ('held', 'paid')
    ) AS mine
    LEFT JOIN LATERAL (
        SELECT r.closed_at FROM reservation AS r
        WHERE r.user_id = p_user_id AND r.concert_id = p_concert_id
            AND r.state IN ('released', 'expired')
            AND r.closed_at > p_now - make_interval(secs => p_unpaid_seconds)
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
        OFFSET greatest(p_unpaid_holds - 1 - mine.overdue, 0) LIMIT 1
    ) AS gone ON true
$$;

-- Why a hold can't be made, whatever the seats; NULL: it can. old_hash is of the reservation that has its
-- id already; missing: what is wanted is no part of the show.
CREATE OR REPLACE FUNCTION reservation_objection(
    old_hash bigint, request_hash bigint, standing text, show_concert_id uuid, concert_id uuid,
    missing boolean, sales_end_at timestamptz, barred_until timestamptz, now timestamptz
)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN old_hash = request_hash THEN 'replayed'
    WHEN old_hash IS NOT NULL THEN 'idempotency_key_reused'
    WHEN standing <> 'admitted' THEN standing
    WHEN show_concert_id IS NULL THEN 'not_found'
    WHEN show_concert_id <> concert_id THEN 'not_allowed'
    WHEN missing THEN 'not_found'
    WHEN sales_end_at <= now THEN 'show_closed'
    WHEN barred_until IS NOT NULL THEN 'rate_limited'
END;

-- Holds seats, all or nothing for each item. p_seats is one flat list; item i wants
-- p_seats[p_from[i] .. p_to[i]], each number once. p_locked: the caller has locked places and shows, has
-- claimed the places, and has found since that no item is a replay, exceeds the user's limit or is barred:
-- nothing of that can change under these locks.
-- outcome: held; replayed (the row with this id stands already); again (it met an earlier item of
-- these arrays on the same user, id or seat: run again); idempotency_key_reused, credential_invalid,
-- token_finished (reason), not_admitted, not_found, not_allowed (a show of another concert),
-- show_closed, rate_limited (retry_after_seconds), seat_taken (taken), seat_limit (seat_limit).
-- hot
CREATE OR REPLACE FUNCTION reservation_hold(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_reservations uuid[], p_hashes bigint[], p_shows uuid[], p_from int[], p_to int[], p_seats int[],
    p_unpaid_holds int, p_unpaid_seconds int, p_locked boolean
)
RETURNS TABLE (
    item int, outcome text, reason finish_reason, taken int[], seat_limit int, retry_after_seconds int,
    amount bigint, prices bigint[], sections text[], created_at timestamptz, held_until timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    seat_shows uuid[];
    seat_numbers int[];
BEGIN
    IF NOT p_locked THEN
        PERFORM waiting_room_lock(p_rooms, p_numbers);
        PERFORM reservation_lock_shows(p_shows);
    END IF;
    SELECT array_agg(k.show_id), array_agg(s) INTO seat_shows, seat_numbers
    FROM unnest(p_shows, p_from, p_to) AS k (show_id, first, last)
    CROSS JOIN LATERAL unnest(p_seats[k.first:k.last]) AS s;
    PERFORM reservation_lock_seats(seat_shows, seat_numbers);
    now := clock_timestamp();
    IF NOT p_locked THEN
        PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);
    END IF;

    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT k.*, w.amount, w.prices, w.sections, w.taken, c.max_seats_per_user AS seat_limit,
            p.at AS place_at, w.at AS seats_at,
            waiting_room_reason(p.state, p.reason, p.expires_at, now) AS reason,
            coalesce(old.created_at, now) AS created_at,
            -- A hold carries the session to its end, but one hold beyond the session at most.
            coalesce(
                old.held_until,
                least(
                    now + make_interval(secs => c.hold_seconds),
                    greatest(
                        p.session_until + make_interval(secs => c.hold_seconds), p.expires_at
                    )
                )
            ) AS held_until,
            CASE
                WHEN objection IS NOT NULL THEN objection
                WHEN w.taken IS NOT NULL THEN 'seat_taken'
                WHEN mine.seats + k.last - k.first + 1 > c.max_seats_per_user THEN 'seat_limit'
                ELSE 'held'
            END AS outcome,
            ceil(extract(epoch FROM mine.barred_until - now))::int AS retry_after_seconds
        FROM unnest(
            p_rooms, p_numbers, p_places, p_users, p_concerts, p_reservations, p_hashes, p_shows,
            p_from, p_to
        ) WITH ORDINALITY AS k (
            room_id, number, place_id, user_id, concert_id, reservation_id, request_hash, show_id,
            first, last, item
        )
        LEFT JOIN LATERAL (
            SELECT p.ctid AS at, p.place_id, p.state, p.reason, p.expires_at, p.session_until
            FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number
            OFFSET 0
        ) AS p ON true
        CROSS JOIN LATERAL waiting_room_standing(
            p.place_id, p.state, p.expires_at, k.place_id, now
        ) AS standing
        LEFT JOIN LATERAL (
            SELECT c.hold_seconds, c.max_seats_per_user FROM concert AS c
            WHERE c.concert_id = k.concert_id
            OFFSET 0
        ) AS c ON true
        LEFT JOIN LATERAL (
            SELECT s.concert_id, s.sales_end_at FROM show AS s WHERE s.show_id = k.show_id
            OFFSET 0
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT r.request_hash, r.created_at, r.held_until FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id AND NOT p_locked
            OFFSET 0
        ) AS old ON true
        CROSS JOIN LATERAL (
            SELECT sum(t.price)::bigint AS amount,
                array_agg(t.price ORDER BY n.number) AS prices,
                array_agg(t.section ORDER BY n.number) AS sections,
                array_agg(n.number ORDER BY n.number) FILTER (WHERE t.held_until > now) AS taken,
                array_agg(t.at) AS at, bool_or(t.price IS NULL) AS missing
            FROM unnest(p_seats[k.first:k.last]) AS n (number)
            LEFT JOIN LATERAL (
                SELECT t.ctid AS at, t.price, t.section, t.held_until FROM seat AS t
                WHERE t.show_id = k.show_id AND t.number = n.number
                OFFSET 0
            ) AS t ON true
        ) AS w
        LEFT JOIN LATERAL (
            SELECT a.seats, a.barred_until FROM reservation_account(
                k.user_id, k.concert_id, now, p_unpaid_holds, p_unpaid_seconds
            ) AS a
            WHERE NOT p_locked
            OFFSET 0
        ) AS mine ON true
        CROSS JOIN LATERAL reservation_objection(
            old.request_hash, k.request_hash, standing, s.concert_id, k.concert_id, w.missing,
            s.sales_end_at, mine.barred_until, now
        ) AS objection
    ),
    -- Of those who could have their seats, the earlier item goes first wherever two meet. One flag
    -- an item, in their order.
    meeting AS MATERIALIZED (
        SELECT array_agg(m.late ORDER BY m.item) AS late FROM (
            SELECT m.item, bool_or(m.item > least(m.by_seat, m.by_user)) AS late FROM (
                SELECT j.item,
                    min(j.item) FILTER (WHERE j.outcome = 'held') OVER (PARTITION BY j.show_id, s)
                        AS by_seat,
                    min(j.item) FILTER (WHERE j.outcome = 'held') OVER (PARTITION BY j.user_id)
                        AS by_user
                FROM judged AS j LEFT JOIN LATERAL unnest(p_seats[j.first:j.last]) AS s ON true
            ) AS m
            GROUP BY m.item
        ) AS m
    ),
    settled AS MATERIALIZED (
        SELECT j.*,
            CASE WHEN j.outcome = 'held' AND m.late[j.item] THEN 'again' ELSE j.outcome END AS final
        FROM judged AS j CROSS JOIN meeting AS m
    ),
    held AS MATERIALIZED (SELECT * FROM settled AS s WHERE s.final = 'held'),
    written AS (
        INSERT INTO reservation (
            reservation_id, user_id, concert_id, show_id, room_id, place_number, request_hash, seats,
            amount, created_at, held_until
        )
        SELECT h.reservation_id, h.user_id, h.concert_id, h.show_id, h.room_id, h.number,
            h.request_hash, p_seats[h.first:h.last], h.amount, h.created_at, h.held_until
        FROM held AS h
        ORDER BY h.reservation_id
    ),
    assigned AS (
        UPDATE seat AS s SET reservation_id = h.reservation_id, held_until = h.held_until
        FROM (
            SELECT h.reservation_id, h.held_until, unnest(h.seats_at) AS at FROM held AS h
        ) AS h
        WHERE s.ctid = h.at
    ),
    noted AS (
        INSERT INTO seat_change (show_id, numbers, changed_at)
        SELECT h.show_id, array_agg(s), now
        FROM held AS h CROSS JOIN LATERAL unnest(p_seats[h.first:h.last]) AS s
        GROUP BY h.show_id
    ),
    extended AS (
        UPDATE place AS p SET expires_at = h.held_until
        FROM held AS h
        WHERE p.ctid = h.place_at AND p.expires_at < h.held_until
    )
    SELECT s.item::int, s.final, s.reason, s.taken, s.seat_limit, s.retry_after_seconds, s.amount,
        s.prices, s.sections, s.created_at, s.held_until
    FROM settled AS s;
END $$;

-- Releases holds for their owners. A place comes with an item whose caller showed a queue token
-- (NULL with a user key): that token must still be alive, and of the reservation's concert.
-- outcome: released (also when it had been released or had expired before), reservation_closed
-- (state), not_found, not_allowed, token_finished (reason), credential_invalid.
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
    going uuid[] := '{}';
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    PERFORM reservation_lock(p_reservations);
    now := clock_timestamp();

    FOR one IN
        SELECT k.*, r.state, w.concert_id AS token_concert_id, r.concert_id,
            waiting_room_reason(p.state, p.reason, p.expires_at, now) AS reason,
            CASE WHEN k.room_id IS NULL THEN 'admitted'
                ELSE waiting_room_standing(p.place_id, p.state, p.expires_at, k.place_id, now)
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
            going := going || one.reservation_id;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM reservation_let_go(going, now);
END $$;

-- Ends places because their owners leave, and lets their holds go. Outcomes: waiting_room_leave.
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
        PERFORM reservation_let_go(holds, clock_timestamp());
    END IF;
END $$;

-- Writes down that holds have ended, oldest first. The seats need nothing: they have been free since
-- held_until. Rows that somebody is just paying or releasing are passed over, and so is one that
-- changed since this statement began: its new ctid is not yet seen here. Returns how many.
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
    UPDATE reservation AS r SET state = 'expired', closed_at = now
    FROM due WHERE r.ctid = due.at;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
