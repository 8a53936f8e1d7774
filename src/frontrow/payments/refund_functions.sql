-- Refunds: the money, the seats and the tickets of a purchase are returned in one transaction.
-- Like the purchase these write other features' tables. Conventions as in waiting_room/functions.sql;
-- lock order show (shared) → cancellations → reservations → seats → wallets → payments, tickets.

-- Locks payments, then their tickets, in the documented order.
CREATE OR REPLACE FUNCTION payment_lock(p_payments uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (SELECT DISTINCT y FROM unnest(p_payments) AS y ORDER BY y) AS k (payment_id)
    CROSS JOIN LATERAL (
        SELECT FROM payment AS y WHERE y.payment_id = k.payment_id FOR NO KEY UPDATE
    ) AS locked;
    -- The tickets of a payment never change, so they may be read before they are locked.
    PERFORM ticket_lock(
        ARRAY(
            SELECT t.ticket_id FROM unnest(p_payments) AS k (payment_id)
            CROSS JOIN LATERAL (
                SELECT t.ticket_id FROM ticket AS t WHERE t.payment_id = k.payment_id OFFSET 0
            ) AS t
        )
    );
END $$;

-- Refunds payments. p_refunds are the new refunds' ids; p_users are the users that the payments must belong
-- to, NULL for the operator, who may refund any payment at any time. A cancelled show's are always refunded.
-- outcome: refunded; replayed (the refund with this id exists, for this payment); existing (the payment is
-- refunded, under another id); again (an earlier item of these arrays has the same payment or id);
-- idempotency_key_reused, not_found, refund_closed, already_checked_in (checked_in_at, gate).
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
    locked record;
    judged record;
    final text[];
    refunded record;
BEGIN
    locked := payment_refund_lock(p_payments, p_users);
    now := clock_timestamp();
    judged := payment_refund_judge(p_refunds, locked.payments, locked.shows, p_users, now);
    final := batch_again(judged.outcomes, 'refunded', locked.payments, p_refunds);
    SELECT array_agg(k.refund_id) AS refunds, array_agg(k.payment_id) AS payments,
        array_agg(k.reason) AS reasons
    INTO refunded
    FROM unnest(final, p_refunds, p_payments, judged.reasons)
        AS k (outcome, refund_id, payment_id, reason)
    WHERE k.outcome = 'refunded';
    PERFORM payment_refund_apply(refunded.refunds, refunded.payments, refunded.reasons, now);

    RETURN QUERY
    SELECT k.item::int, k.outcome, y.payment_id, y.reservation_id, y.user_id, y.amount, y.balance,
        y.state, y.show_id, y.seats, y.paid_at, t.tickets, b.refund_id, b.balance, y.refunded_at,
        y.refund_reason, k.checked_in_at, k.gate
    FROM unnest(final, locked.payments, judged.checked_in_ats, judged.gates)
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

-- Locks the rows that refunds depend on. Returns the payments that exist (and are these users') and their
-- shows, NULL
-- for the others.
CREATE OR REPLACE FUNCTION payment_refund_lock(
    p_payments uuid[], p_users uuid[], OUT payments uuid[], OUT shows uuid[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    reservations uuid[];
    users uuid[];
BEGIN
    -- The reservation of a payment never changes, so it may be read before it is locked. A payment that is
    -- created later is not visible to this call.
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
END $$;

-- Decides the outcomes of refunds from the rows that payment_refund has locked, and returns a checked-in ticket
-- of each payment, if any.
CREATE OR REPLACE FUNCTION payment_refund_judge(
    p_refunds uuid[], p_payments uuid[], p_shows uuid[], p_users uuid[], p_now timestamptz,
    OUT outcomes text[], OUT reasons refund_reason[], OUT checked_in_ats timestamptz[],
    OUT gates text[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT array_agg(
            CASE
                WHEN k.payment_id IS NULL THEN 'not_found'
                WHEN old.reference = k.payment_id THEN 'replayed'
                WHEN old.reference IS NOT NULL THEN 'idempotency_key_reused'
                WHEN y.state = 'refunded' THEN 'existing'
                WHEN s.cancelled_at IS NOT NULL THEN 'refunded'
                WHEN k.user_id IS NOT NULL
                    AND (c.refundable_until > p_now AND s.starts_at > p_now) IS NOT TRUE
                    THEN 'refund_closed'
                WHEN used.checked_in_at IS NOT NULL THEN 'already_checked_in'
                ELSE 'refunded'
            END ORDER BY k.item
        ),
        array_agg(payment_refund_reason(s.cancelled_at, k.user_id) ORDER BY k.item),
        array_agg(used.checked_in_at ORDER BY k.item), array_agg(used.gate ORDER BY k.item)
    INTO outcomes, reasons, checked_in_ats, gates
    FROM unnest(p_refunds, p_payments, p_shows, p_users)
        WITH ORDINALITY AS k (refund_id, payment_id, show_id, user_id, item)
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
    ) AS used ON true;
END $$;

-- Why a payment is refunded.
CREATE OR REPLACE FUNCTION payment_refund_reason(cancelled_at timestamptz, user_id uuid)
RETURNS refund_reason LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN cancelled_at IS NOT NULL THEN 'show_cancelled'
    WHEN user_id IS NULL THEN 'operator'
    ELSE 'buyer'
END::refund_reason;

-- Writes accepted refunds: all rows are locked, each payment comes once.
CREATE OR REPLACE FUNCTION payment_refund_apply(
    p_refunds uuid[], p_payments uuid[], p_reasons refund_reason[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF cardinality(p_payments) > 0 THEN
        PERFORM payment_refund_money(p_refunds, p_payments, p_now);
        PERFORM payment_refund_write(p_payments, p_reasons, p_now);
        PERFORM payment_refund_seats(p_payments, p_now);
    END IF;
END $$;

-- Posts the transfers of refunds. A wallet takes one transfer in each round: nearly always there is one round.
CREATE OR REPLACE FUNCTION payment_refund_money(
    p_refunds uuid[], p_payments uuid[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    turn record;
BEGIN
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
END $$;

-- Marks payments as refunded: payments, tickets, reservations, sales. The cancellation of a show counts its
-- refunded payments.
CREATE OR REPLACE FUNCTION payment_refund_write(
    p_payments uuid[], p_reasons refund_reason[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
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
    )
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
    WHERE c.ctid = l.at;
END $$;

-- Frees the seats of refunded payments.
CREATE OR REPLACE FUNCTION payment_refund_seats(p_payments uuid[], p_now timestamptz)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH freed AS (
        UPDATE seat AS s SET reservation_id = NULL, held_until = NULL
        FROM (
            SELECT y.reservation_id, y.show_id, unnest(y.seats) AS number
            FROM unnest(p_payments) AS k (payment_id)
            CROSS JOIN LATERAL (
                SELECT y.reservation_id, y.show_id, y.seats FROM payment AS y
                WHERE y.payment_id = k.payment_id
                OFFSET 0
            ) AS y
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
