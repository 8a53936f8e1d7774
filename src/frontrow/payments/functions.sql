-- The purchase: like a refund, it writes other features' tables (place, reservation, seat, wallet and
-- ledger), because the money, the seats and the token must change in one transaction.
-- Conventions as in waiting_room/functions.sql; lock order room → places → show (shared) → reservations →
-- seats → wallets → payments, tickets.

-- Pays reservations. p_payments are the new payments' ids.
-- outcome: paid; replayed (the payment with this id exists, for this request); existing (this user has
-- paid this reservation, under another id); again (an earlier item of these arrays pays for the same user
-- or reservation); idempotency_key_reused, credential_invalid, token_finished (reason), not_admitted,
-- not_found, not_allowed, show_closed (it is cancelled), reservation_closed (state), hold_expired,
-- amount_mismatch (expected), insufficient_balance (balance).
-- hot
CREATE OR REPLACE FUNCTION payment_pay(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_payments uuid[], p_reservations uuid[], p_amounts bigint[]
)
RETURNS TABLE (
    item int, outcome text, reason finish_reason, state reservation_state, expected bigint,
    payment_id uuid, show_id uuid, seats int[], tickets uuid[], balance bigint, paid_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    holds uuid[];
    judged record;
    final text[];
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    holds := payment_pay_lock(p_rooms, p_numbers, p_users, p_reservations);
    now := clock_timestamp();
    PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);

    judged := payment_pay_judge(
        p_rooms, p_numbers, p_places, p_users, p_concerts, p_payments, p_reservations, p_amounts, now
    );
    final := batch_again(judged.outcomes, 'paid', p_users, p_reservations);
    PERFORM payment_pay_apply(
        final, p_rooms, p_numbers, p_users, p_payments, p_reservations, p_amounts, holds, now
    );

    RETURN QUERY
    SELECT k.item::int, k.outcome, k.reason, k.state, k.expected, y.payment_id, y.show_id, y.seats,
        t.tickets, coalesce(y.balance, k.balance), y.paid_at
    FROM unnest(
        final, judged.reasons, judged.states, judged.expecteds, judged.balances, p_reservations, p_users
    ) WITH ORDINALITY AS k (
        outcome, reason, state, expected, balance, reservation_id, user_id, item
    )
    LEFT JOIN LATERAL (
        SELECT y.* FROM payment AS y
        WHERE y.reservation_id = k.reservation_id
            AND k.outcome IN ('paid', 'replayed', 'existing')
        OFFSET 0
    ) AS y ON y.user_id = k.user_id
    CROSS JOIN LATERAL (
        SELECT array_agg(t.ticket_id ORDER BY t.number) AS tickets FROM ticket AS t
        WHERE t.payment_id = y.payment_id
    ) AS t;
END $$;

-- Locks the rows that payments depend on, after their places. Returns all holds of these places.
CREATE OR REPLACE FUNCTION payment_pay_lock(
    p_rooms int[], p_numbers int[], p_users uuid[], p_reservations uuid[]
)
RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    shows uuid[];
    holds uuid[];
BEGIN
    -- The show of a reservation never changes, so it may be read before it is locked.
    SELECT array_agg(r.show_id) INTO shows
    FROM unnest(p_reservations) AS k (reservation_id)
    CROSS JOIN LATERAL (
        SELECT r.show_id FROM reservation AS r WHERE r.reservation_id = k.reservation_id OFFSET 0
    ) AS r;
    PERFORM reservation_lock_shows(shows);
    holds := reservation_held_by(p_rooms, p_numbers);
    PERFORM reservation_lock(holds || p_reservations);
    PERFORM wallet_lock(p_users);
    RETURN holds;
END $$;

-- Decides the outcomes of payments from the rows that payment_pay has locked.
CREATE OR REPLACE FUNCTION payment_pay_judge(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_concerts uuid[],
    p_payments uuid[], p_reservations uuid[], p_amounts bigint[], p_now timestamptz,
    OUT outcomes text[], OUT reasons finish_reason[], OUT states reservation_state[],
    OUT expecteds bigint[], OUT balances bigint[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT array_agg(
            CASE
                WHEN mine.reservation_id = k.reservation_id AND mine.amount = k.amount THEN 'replayed'
                WHEN mine.reservation_id IS NOT NULL THEN 'idempotency_key_reused'
                WHEN done.amount = k.amount THEN 'existing'
                WHEN standing <> 'admitted' THEN standing
                WHEN r.state IS NULL THEN 'not_found'
                WHEN r.concert_id <> k.concert_id THEN 'not_allowed'
                WHEN s.cancelled_at IS NOT NULL THEN 'show_closed'
                WHEN r.state IN ('paid', 'released', 'refunded') THEN 'reservation_closed'
                WHEN r.state = 'expired' OR r.held_until <= p_now OR NOT still.held THEN 'hold_expired'
                WHEN r.amount <> k.amount THEN 'amount_mismatch'
                WHEN coalesce(w.balance, 0) < k.amount THEN 'insufficient_balance'
                ELSE 'paid'
            END ORDER BY k.item
        ),
        array_agg(waiting_room_reason(p.state, p.reason, p.expires_at, p_now) ORDER BY k.item),
        array_agg(r.state ORDER BY k.item), array_agg(r.amount ORDER BY k.item),
        array_agg(coalesce(w.balance, 0) ORDER BY k.item)
    INTO outcomes, reasons, states, expecteds, balances
    FROM unnest(
        p_rooms, p_numbers, p_places, p_users, p_concerts, p_payments, p_reservations, p_amounts
    ) WITH ORDINALITY AS k (
        room_id, number, place_id, user_id, concert_id, payment_id, reservation_id, amount, item
    )
    LEFT JOIN LATERAL (
        SELECT p.place_id, p.state, p.reason, p.expires_at FROM place AS p
        WHERE p.room_id = k.room_id AND p.number = k.number OFFSET 0
    ) AS p ON true
    CROSS JOIN LATERAL waiting_room_standing(
        p.place_id, p.state, p.expires_at, k.place_id, p_now
    ) AS standing
    LEFT JOIN LATERAL (
        SELECT y.user_id, y.reservation_id, y.amount FROM payment AS y
        WHERE y.payment_id = k.payment_id OFFSET 0
    ) AS mine ON mine.user_id = k.user_id
    LEFT JOIN LATERAL (
        SELECT y.user_id, y.amount FROM payment AS y
        WHERE y.reservation_id = k.reservation_id OFFSET 0
    ) AS done ON done.user_id = k.user_id
    LEFT JOIN LATERAL (
        SELECT r.* FROM reservation AS r
        WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id OFFSET 0
    ) AS r ON true
    LEFT JOIN LATERAL (
        SELECT s.cancelled_at FROM show AS s WHERE s.show_id = r.show_id OFFSET 0
    ) AS s ON true
    CROSS JOIN LATERAL (
        SELECT count(*) = cardinality(r.seats) AS held FROM unnest(r.seats) AS n (number)
        CROSS JOIN LATERAL (
            SELECT FROM seat AS s
            WHERE s.show_id = r.show_id AND s.number = n.number
                AND s.reservation_id = r.reservation_id OFFSET 0
        ) AS s
    ) AS still
    LEFT JOIN LATERAL (
        SELECT w.balance FROM wallet AS w WHERE w.user_id = k.user_id OFFSET 0
    ) AS w ON true;
END $$;

-- Writes the payments whose outcome is 'paid', and releases the other holds of their places. p_holds has all
-- holds of these places.
CREATE OR REPLACE FUNCTION payment_pay_apply(
    p_outcomes text[], p_rooms int[], p_numbers int[], p_users uuid[], p_payments uuid[],
    p_reservations uuid[], p_amounts bigint[], p_holds uuid[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    paid record;
BEGIN
    SELECT array_agg(k.room_id) AS rooms, array_agg(k.number) AS numbers,
        array_agg(k.user_id) AS users, array_agg(k.payment_id) AS payments,
        array_agg(k.reservation_id) AS reservations, array_agg(k.amount) AS amounts
    INTO paid
    FROM unnest(p_outcomes, p_rooms, p_numbers, p_users, p_payments, p_reservations, p_amounts)
        AS k (outcome, room_id, number, user_id, payment_id, reservation_id, amount)
    WHERE k.outcome = 'paid';
    IF paid.rooms IS NULL THEN
        RETURN;
    END IF;
    PERFORM wallet_post(
        paid.payments, paid.users, paid.amounts, paid.payments, 'payment', p_now
    );
    PERFORM payment_pay_write(
        paid.rooms, paid.numbers, paid.users, paid.payments, paid.reservations, paid.amounts, p_now
    );
    -- Few places have other holds; the paid ones are no longer held at this point.
    IF EXISTS (SELECT unnest(p_holds) EXCEPT SELECT unnest(paid.reservations)) THEN
        PERFORM reservation_close(reservation_held_by(paid.rooms, paid.numbers), p_now);
    END IF;
END $$;

-- Writes accepted purchases, except for the money: seats, reservations, payments, tickets, places.
CREATE OR REPLACE FUNCTION payment_pay_write(
    p_rooms int[], p_numbers int[], p_users uuid[], p_payments uuid[], p_reservations uuid[],
    p_amounts bigint[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH bought AS MATERIALIZED (
        SELECT k.*, r.at, r.concert_id, r.show_id, r.seats, w.balance
        FROM unnest(p_users, p_payments, p_reservations, p_amounts)
            AS k (user_id, payment_id, reservation_id, amount)
        CROSS JOIN LATERAL (
            SELECT r.ctid AS at, r.concert_id, r.show_id, r.seats FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id
            OFFSET 0
        ) AS r
        CROSS JOIN LATERAL (
            SELECT w.balance FROM wallet AS w WHERE w.user_id = k.user_id OFFSET 0
        ) AS w
    ),
    bought_seat AS MATERIALIZED (
        SELECT b.payment_id, b.user_id, b.show_id, unnest(b.seats) AS number
        FROM bought AS b
    ),
    owned AS (
        UPDATE seat AS s SET held_until = 'infinity'
        FROM bought_seat AS b
        CROSS JOIN LATERAL (
            SELECT s.ctid AS at FROM seat AS s
            WHERE s.show_id = b.show_id AND s.number = b.number
            OFFSET 0
        ) AS l
        WHERE s.ctid = l.at
    ),
    noted AS (
        INSERT INTO seat_change (show_id, numbers, changed_at)
        SELECT b.show_id, array_agg(b.number), p_now FROM bought_seat AS b GROUP BY b.show_id
    ),
    closed AS (
        UPDATE reservation AS r SET state = 'paid', closed_at = p_now, network = NULL
        FROM bought AS b WHERE r.ctid = b.at
    ),
    sold AS (
        INSERT INTO sold_delta (show_id, seats, amount)
        SELECT b.show_id, sum(cardinality(b.seats)), sum(b.amount) FROM bought AS b
        GROUP BY b.show_id ORDER BY b.show_id
    ),
    paid AS (
        INSERT INTO payment (
            payment_id, reservation_id, user_id, concert_id, show_id, seats, amount, balance, paid_at
        )
        SELECT b.payment_id, b.reservation_id, b.user_id, b.concert_id, b.show_id, b.seats, b.amount,
            b.balance, p_now
        FROM bought AS b ORDER BY b.payment_id
    ),
    ticketed AS (
        INSERT INTO ticket (ticket_id, payment_id, user_id, show_id, number)
        SELECT payment_new_id(p_now), b.payment_id, b.user_id, b.show_id, b.number
        FROM bought_seat AS b ORDER BY b.show_id, b.number
    )
    UPDATE place AS p SET state = 'finished', reason = 'paid', finished_at = p_now
    FROM unnest(p_rooms, p_numbers) AS k (room_id, number)
    CROSS JOIN LATERAL (
        SELECT p.ctid AS at FROM place AS p
        WHERE p.room_id = k.room_id AND p.number = k.number
        OFFSET 0
    ) AS l
    WHERE p.ctid = l.at;
END $$;

-- Returns a new id: a time-ordered UUID (RFC 9562, version 7), as frontrow.ids.new_id does: tickets are added at
-- the end of their index, of which random ids would read and log a page each. PostgreSQL has it from 18 on.
CREATE OR REPLACE FUNCTION payment_new_id(p_now timestamptz)
RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(
                uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM p_now) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6
            ),
            52, 1
        ), 53, 1),
        'hex'
    )::uuid
$$;

-- Folds the sold deltas into the stock rows. Returns the number of deltas. One call at a time: a concurrent one
-- does nothing.
CREATE OR REPLACE FUNCTION payment_fold_stock(p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n int;
BEGIN
    -- "FOLD"; two calls that update the same rows in different orders could deadlock.
    IF NOT pg_try_advisory_xact_lock(x'464F4C44'::int) THEN
        RETURN 0;
    END IF;
    WITH taken AS MATERIALIZED (
        SELECT d.delta_id, d.show_id, d.seats, d.amount FROM sold_delta AS d
        ORDER BY d.delta_id LIMIT p_limit
    ),
    folded AS (
        UPDATE stock AS s SET sold = s.sold + t.seats, revenue = s.revenue + t.amount
        FROM (
            SELECT show_id, sum(seats) AS seats, sum(amount) AS amount FROM taken GROUP BY show_id
        ) AS t
        WHERE s.show_id = t.show_id
    ),
    gone AS (DELETE FROM sold_delta AS d USING taken AS t WHERE d.delta_id = t.delta_id RETURNING 1)
    SELECT count(*) INTO n FROM gone;
    RETURN n;
END $$;
