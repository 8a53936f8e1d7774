-- Refunds: the money, the seats and the tickets of a purchase go back in one transaction or not at all.
-- Like the purchase these write other features' tables. Conventions as in waiting_room/functions.sql;
-- lock order show (shared) → cancellations → reservations → seats → wallets → payments, tickets.

-- Locks payments, then their tickets, in the documented order.
-- hot
CREATE OR REPLACE FUNCTION payment_lock(p_payments uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (SELECT DISTINCT y FROM unnest(p_payments) AS y ORDER BY y) AS k (payment_id)
    CROSS JOIN LATERAL (
        SELECT FROM payment AS y WHERE y.payment_id = k.payment_id FOR NO KEY UPDATE
    ) AS locked;
    -- Which tickets a payment gave never changes, so they may be looked up before they are locked.
    PERFORM ticket_lock(
        ARRAY(
            SELECT t.ticket_id FROM unnest(p_payments) AS k (payment_id)
            CROSS JOIN LATERAL (
                SELECT t.ticket_id FROM ticket AS t WHERE t.payment_id = k.payment_id OFFSET 0
            ) AS t
        )
    );
END $$;

-- Refunds payments. p_refunds are the new refunds' ids, p_users whose payments they must be: NULL for
-- the operator, who may refund anybody's at any time. Once a show is cancelled, everybody's refund is due.
-- outcome: refunded; replayed (the refund with this id stands already, for this payment); existing (the
-- payment is refunded, under another id); again (the payment or the id stands earlier in these arrays:
-- run again); idempotency_key_reused, not_found, refund_closed, already_checked_in (checked_in_at, gate).
-- hot
CREATE OR REPLACE FUNCTION payment_refund(p_refunds uuid[], p_payments uuid[], p_users uuid[])
RETURNS TABLE (
    item int, outcome text, payment_id uuid, reservation_id uuid, user_id uuid, amount bigint,
    balance bigint, state payment_state, show_id uuid, seats int[], paid_at timestamptz,
    tickets uuid[], refund_id uuid, refund_balance bigint, refunded_at timestamptz,
    refund_reason refund_reason, checked_in_at timestamptz, gate text
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    payments uuid[];
    reservations uuid[];
    shows uuid[];
    users uuid[];
    outcomes text[];
    cancelled boolean[];
    checked_in_ats timestamptz[];
    gates text[];
    refunded_items int[];
BEGIN
    -- What a payment was for never changes, so it may be read before it is locked. One that comes to be
    -- only later isn't there for this call.
    SELECT array_agg(y.payment_id ORDER BY k.item), array_agg(y.reservation_id ORDER BY k.item),
        array_agg(y.show_id ORDER BY k.item), array_agg(y.user_id ORDER BY k.item)
    INTO payments, reservations, shows, users
    FROM unnest(p_payments, p_users) WITH ORDINALITY AS k (payment_id, user_id, item)
    LEFT JOIN LATERAL (
        SELECT y.payment_id, y.reservation_id, y.show_id, y.user_id FROM payment AS y
        WHERE y.payment_id = k.payment_id
        OFFSET 0
    ) AS y ON k.user_id IS NULL OR y.user_id = k.user_id;
    PERFORM reservation_lock_shows(shows);
    PERFORM FROM (SELECT DISTINCT s FROM unnest(shows) AS s ORDER BY s) AS k (show_id)
    CROSS JOIN LATERAL (
        SELECT FROM cancellation AS c WHERE c.show_id = k.show_id FOR NO KEY UPDATE
    ) AS locked;
    PERFORM reservation_lock(reservations);
    PERFORM wallet_lock(users);
    PERFORM payment_lock(payments);
    now := clock_timestamp();

    WITH judged AS MATERIALIZED (
        SELECT k.item, k.payment_id, k.refund_id, CASE
            WHEN k.payment_id IS NULL THEN 'not_found'
            WHEN old.reference = k.payment_id THEN 'replayed'
            WHEN old.reference IS NOT NULL THEN 'idempotency_key_reused'
            WHEN y.state = 'refunded' THEN 'existing'
            WHEN s.cancelled_at IS NOT NULL THEN 'refunded'
            WHEN k.buyer IS NOT NULL AND (c.refundable_until > now AND s.starts_at > now) IS NOT TRUE
                THEN 'refund_closed'
            WHEN used.checked_in_at IS NOT NULL THEN 'already_checked_in'
            ELSE 'refunded'
        END AS outcome, s.cancelled_at IS NOT NULL AS cancelled, used.checked_in_at, used.gate
        FROM unnest(p_refunds, payments, shows, p_users)
            WITH ORDINALITY AS k (refund_id, payment_id, show_id, buyer, item)
        LEFT JOIN LATERAL (
            SELECT t.reference FROM transfer AS t WHERE t.transfer_id = k.refund_id OFFSET 0
        ) AS old ON true
        LEFT JOIN LATERAL (
            SELECT y.state FROM payment AS y WHERE y.payment_id = k.payment_id OFFSET 0
        ) AS y ON true
        LEFT JOIN LATERAL (
            SELECT s.concert_id, s.starts_at, s.cancelled_at FROM show AS s
            WHERE s.show_id = k.show_id
            OFFSET 0
        ) AS s ON true
        LEFT JOIN LATERAL (
            SELECT c.refundable_until FROM concert AS c WHERE c.concert_id = s.concert_id OFFSET 0
        ) AS c ON true
        LEFT JOIN LATERAL (
            SELECT t.checked_in_at, t.gate FROM ticket AS t
            WHERE t.payment_id = k.payment_id AND t.checked_in_at IS NOT NULL
            ORDER BY t.checked_in_at LIMIT 1
        ) AS used ON true
    ),
    settled AS (
        SELECT j.item, j.cancelled, j.checked_in_at, j.gate, CASE
            WHEN j.outcome = 'refunded' AND j.item > least(
                min(j.item) FILTER (WHERE j.outcome = 'refunded') OVER (PARTITION BY j.payment_id),
                min(j.item) FILTER (WHERE j.outcome = 'refunded') OVER (PARTITION BY j.refund_id)
            ) THEN 'again'
            ELSE j.outcome
        END AS final
        FROM judged AS j
    )
    SELECT array_agg(s.final ORDER BY s.item), array_agg(s.cancelled ORDER BY s.item),
        array_agg(s.checked_in_at ORDER BY s.item), array_agg(s.gate ORDER BY s.item),
        array_agg(s.item ORDER BY s.item) FILTER (WHERE s.final = 'refunded')
    INTO outcomes, cancelled, checked_in_ats, gates, refunded_items
    FROM settled AS s;

    IF refunded_items IS NOT NULL THEN
        PERFORM payment_give_back(
            ARRAY(SELECT p_refunds[i] FROM unnest(refunded_items) AS i),
            ARRAY(SELECT payments[i] FROM unnest(refunded_items) AS i),
            ARRAY(
                SELECT CASE
                    WHEN cancelled[i] THEN 'show_cancelled'
                    WHEN p_users[i] IS NULL THEN 'operator'
                    ELSE 'buyer'
                END::refund_reason
                FROM unnest(refunded_items) AS i
            ),
            now
        );
    END IF;

    RETURN QUERY
    SELECT k.item::int, k.outcome, y.payment_id, y.reservation_id, y.user_id, y.amount, y.balance,
        y.state, y.show_id, y.seats, y.paid_at, t.tickets, b.refund_id, b.balance, y.refunded_at,
        y.refund_reason, k.checked_in_at, k.gate
    FROM unnest(outcomes, payments, checked_in_ats, gates)
        WITH ORDINALITY AS k (outcome, payment_id, checked_in_at, gate, item)
    LEFT JOIN LATERAL (
        SELECT y.* FROM payment AS y
        WHERE y.payment_id = k.payment_id AND k.outcome IN ('refunded', 'replayed', 'existing')
        OFFSET 0
    ) AS y ON true
    LEFT JOIN LATERAL (
        SELECT b.transfer_id AS refund_id, b.balance FROM transfer AS b
        WHERE b.reference = y.payment_id AND b.kind = 'refund'
        OFFSET 0
    ) AS b ON true
    CROSS JOIN LATERAL (
        SELECT array_agg(t.ticket_id ORDER BY t.number) AS tickets FROM ticket AS t
        WHERE t.payment_id = y.payment_id
    ) AS t;
END $$;

-- Writes down refunds that have been decided: everything is locked and judged, each payment stands once.
-- The cancellation of a show counts those of its payments.
-- hot
CREATE OR REPLACE FUNCTION payment_give_back(
    p_refunds uuid[], p_payments uuid[], p_reasons refund_reason[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    turn record;
BEGIN
    -- A wallet takes one transfer at a time: nearly always there is one turn only.
    FOR turn IN
        SELECT array_agg(k.refund_id) AS refunds, array_agg(k.user_id) AS users,
            array_agg(k.amount) AS amounts, array_agg(k.payment_id) AS payments
        FROM (
            SELECT k.refund_id, k.payment_id, y.user_id, y.amount,
                row_number() OVER (PARTITION BY y.user_id ORDER BY k.payment_id) AS turn
            FROM unnest(p_refunds, p_payments) AS k (refund_id, payment_id)
            CROSS JOIN LATERAL (
                SELECT y.user_id, y.amount FROM payment AS y
                WHERE y.payment_id = k.payment_id
                OFFSET 0
            ) AS y
        ) AS k
        GROUP BY k.turn ORDER BY k.turn
    LOOP
        PERFORM wallet_post(
            turn.refunds, turn.users, turn.amounts, turn.payments, 'refund', p_now
        );
    END LOOP;

    WITH back AS MATERIALIZED (
        SELECT k.payment_id, k.reason, y.*
        FROM unnest(p_payments, p_reasons) AS k (payment_id, reason)
        CROSS JOIN LATERAL (
            SELECT y.ctid AS at, y.reservation_id, y.show_id, y.seats, y.amount FROM payment AS y
            WHERE y.payment_id = k.payment_id
            OFFSET 0
        ) AS y
    ),
    refunded AS (
        UPDATE payment AS y SET state = 'refunded', refunded_at = p_now, refund_reason = b.reason
        FROM back AS b WHERE y.ctid = b.at
    ),
    voided AS (
        UPDATE ticket AS t
        SET void_at = p_now,
            void_reason = CASE b.reason WHEN 'show_cancelled' THEN 'show_cancelled' ELSE 'refunded' END
        FROM back AS b
        CROSS JOIN LATERAL (
            SELECT t.ctid AS at FROM ticket AS t WHERE t.payment_id = b.payment_id OFFSET 0
        ) AS l
        WHERE t.ctid = l.at
    ),
    closed AS (
        UPDATE reservation AS r SET state = 'refunded', closed_at = p_now
        FROM back AS b
        CROSS JOIN LATERAL (
            SELECT r.ctid AS at FROM reservation AS r
            WHERE r.reservation_id = b.reservation_id
            OFFSET 0
        ) AS l
        WHERE r.ctid = l.at
    ),
    returned AS (
        INSERT INTO sold_delta (show_id, seats, amount)
        SELECT b.show_id, -sum(cardinality(b.seats)), -sum(b.amount) FROM back AS b
        GROUP BY b.show_id ORDER BY b.show_id
    ),
    counted AS (
        UPDATE cancellation AS c
        SET payments_refunded = c.payments_refunded + b.payments,
            seats_freed = c.seats_freed + b.seats, amount_refunded = c.amount_refunded + b.amount
        FROM (
            SELECT b.show_id, count(*) AS payments, sum(cardinality(b.seats)) AS seats,
                sum(b.amount) AS amount
            FROM back AS b WHERE b.reason = 'show_cancelled'
            GROUP BY b.show_id
        ) AS b
        CROSS JOIN LATERAL (
            SELECT c.ctid AS at FROM cancellation AS c WHERE c.show_id = b.show_id OFFSET 0
        ) AS l
        WHERE c.ctid = l.at
    ),
    freed AS (
        UPDATE seat AS s SET reservation_id = NULL, held_until = NULL
        FROM (
            SELECT b.reservation_id, b.show_id, unnest(b.seats) AS number FROM back AS b
        ) AS k
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
