-- The purchase: like giving it back, it writes other features' tables (place, reservation, seat, wallet
-- and ledger), because the money, the seats and the token change hands in one transaction or not at
-- all. Conventions as in waiting_room/functions.sql; lock order room → places → show (shared) →
-- reservations → seats → wallets → payments, tickets.

-- Pays reservations. p_payments are the new payments' ids.
-- outcome: paid; replayed (the payment with this id stands already, for this request); existing (this
-- user has paid this reservation, under another id); again (it met an earlier item of these arrays
-- on the same user or reservation: run again); idempotency_key_reused, credential_invalid,
-- token_finished (reason), not_admitted, not_found, not_allowed, show_closed (it is cancelled),
-- reservation_closed (state), hold_expired, amount_mismatch (expected), insufficient_balance (balance).
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
    shows uuid[];
    outcomes text[];
    reasons finish_reason[];
    states reservation_state[];
    expecteds bigint[];
    balances bigint[];
    paid_items int[];
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    -- Which show a reservation is of never changes, so it may be read before it is locked.
    SELECT array_agg(r.show_id) INTO shows
    FROM unnest(p_reservations) AS k (reservation_id)
    CROSS JOIN LATERAL (
        SELECT r.show_id FROM reservation AS r WHERE r.reservation_id = k.reservation_id OFFSET 0
    ) AS r;
    PERFORM reservation_lock_shows(shows);
    holds := reservation_held_by(p_rooms, p_numbers);
    PERFORM reservation_lock(holds || p_reservations);
    PERFORM wallet_lock(p_users);
    now := clock_timestamp();
    PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);

    WITH judged AS MATERIALIZED (
        SELECT k.*, r.state, r.amount AS expected, coalesce(w.balance, 0) AS balance,
            waiting_room_reason(p.state, p.reason, p.expires_at, now) AS reason,
            CASE
                WHEN mine.reservation_id = k.reservation_id AND mine.amount = k.amount THEN 'replayed'
                WHEN mine.reservation_id IS NOT NULL THEN 'idempotency_key_reused'
                WHEN done.amount = k.amount THEN 'existing'
                WHEN standing <> 'admitted' THEN standing
                WHEN r.state IS NULL THEN 'not_found'
                WHEN r.concert_id <> k.concert_id THEN 'not_allowed'
                WHEN s.cancelled_at IS NOT NULL THEN 'show_closed'
                WHEN r.state IN ('paid', 'released', 'refunded') THEN 'reservation_closed'
                WHEN r.state = 'expired' OR r.held_until <= now OR NOT still.held THEN 'hold_expired'
                WHEN r.amount <> k.amount THEN 'amount_mismatch'
                WHEN coalesce(w.balance, 0) < k.amount THEN 'insufficient_balance'
                ELSE 'paid'
            END AS outcome
        FROM unnest(
            p_rooms, p_numbers, p_places, p_users, p_concerts, p_payments, p_reservations, p_amounts
        ) WITH ORDINALITY AS k (
            room_id, number, place_id, user_id, concert_id, payment_id, reservation_id, amount, item
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
            SELECT y.user_id, y.reservation_id, y.amount FROM payment AS y
            WHERE y.payment_id = k.payment_id
            OFFSET 0
        ) AS mine ON mine.user_id = k.user_id
        LEFT JOIN LATERAL (
            SELECT y.user_id, y.amount FROM payment AS y
            WHERE y.reservation_id = k.reservation_id
            OFFSET 0
        ) AS done ON done.user_id = k.user_id
        LEFT JOIN LATERAL (
            SELECT r.* FROM reservation AS r
            WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id
            OFFSET 0
        ) AS r ON true
        LEFT JOIN LATERAL (
            SELECT s.cancelled_at FROM show AS s WHERE s.show_id = r.show_id OFFSET 0
        ) AS s ON true
        CROSS JOIN LATERAL (
            SELECT count(*) = cardinality(r.seats) AS held
            FROM unnest(r.seats) AS n (number)
            CROSS JOIN LATERAL (
                SELECT FROM seat AS s
                WHERE s.show_id = r.show_id AND s.number = n.number
                    AND s.reservation_id = r.reservation_id
                OFFSET 0
            ) AS s
        ) AS still
        LEFT JOIN LATERAL (
            SELECT w.balance FROM wallet AS w WHERE w.user_id = k.user_id OFFSET 0
        ) AS w ON true
    ),
    settled AS (
        SELECT j.*, CASE
            WHEN j.outcome = 'paid' AND j.item > least(
                min(j.item) FILTER (WHERE j.outcome = 'paid') OVER (PARTITION BY j.user_id),
                min(j.item) FILTER (WHERE j.outcome = 'paid') OVER (PARTITION BY j.reservation_id)
            ) THEN 'again'
            ELSE j.outcome
        END AS final
        FROM judged AS j
    )
    SELECT array_agg(s.final ORDER BY s.item), array_agg(s.reason ORDER BY s.item),
        array_agg(s.state ORDER BY s.item), array_agg(s.expected ORDER BY s.item),
        array_agg(s.balance ORDER BY s.item),
        array_agg(s.item ORDER BY s.item) FILTER (WHERE s.final = 'paid')
    INTO outcomes, reasons, states, expecteds, balances, paid_items
    FROM settled AS s;

    IF paid_items IS NOT NULL THEN
        PERFORM payment_settle(
            ARRAY(SELECT p_rooms[i] FROM unnest(paid_items) AS i),
            ARRAY(SELECT p_numbers[i] FROM unnest(paid_items) AS i),
            ARRAY(SELECT p_users[i] FROM unnest(paid_items) AS i),
            ARRAY(SELECT p_payments[i] FROM unnest(paid_items) AS i),
            ARRAY(SELECT p_reservations[i] FROM unnest(paid_items) AS i),
            ARRAY(SELECT p_amounts[i] FROM unnest(paid_items) AS i),
            now
        );
        -- Few have other holds beside what they paid. The paid ones are no longer held by now.
        IF EXISTS (
            SELECT unnest(holds) EXCEPT SELECT p_reservations[i] FROM unnest(paid_items) AS i
        ) THEN
            PERFORM reservation_let_go(
                reservation_held_by(
                    ARRAY(SELECT p_rooms[i] FROM unnest(paid_items) AS i),
                    ARRAY(SELECT p_numbers[i] FROM unnest(paid_items) AS i)
                ),
                now
            );
        END IF;
    END IF;

    RETURN QUERY
    SELECT k.item::int, k.outcome, k.reason, k.state, k.expected, y.payment_id, y.show_id, y.seats,
        t.tickets, coalesce(y.balance, k.balance), y.paid_at
    FROM unnest(outcomes, reasons, states, expecteds, balances, p_reservations, p_users)
        WITH ORDINALITY AS k
            (outcome, reason, state, expected, balance, reservation_id, user_id, item)
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

-- Writes down purchases that payment_pay has decided: everything is locked and judged.
-- hot
CREATE OR REPLACE FUNCTION payment_settle(
    p_rooms int[], p_numbers int[], p_users uuid[], p_payments uuid[], p_reservations uuid[],
    p_amounts bigint[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM wallet_post(p_payments, p_users, p_amounts, p_payments, 'payment', p_now);

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
        UPDATE reservation AS r SET state = 'paid', closed_at = p_now
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
        SELECT gen_random_uuid(), b.payment_id, b.user_id, b.show_id, b.number
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

-- Folds the sold deltas into the stock rows. Returns how many deltas. One at a time: a second one at
-- the same moment does nothing.
CREATE OR REPLACE FUNCTION payment_fold_stock(p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n int;
BEGIN
    -- "FOLD"; two that update the same rows in their own orders could wait for each other.
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
