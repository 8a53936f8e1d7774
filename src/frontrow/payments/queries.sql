-- name: pay
-- Pays reservations: see the function.
SELECT outcome, reason, state, expected, payment_id, show_id, seats, tickets, balance, paid_at
FROM payment_pay(
    :room_id, :number, :place_id, :user_id, :concert_id, :payment_id, :reservation_id, :amount
)
ORDER BY item;

-- name: refund
-- Refunds payments: see the function.
SELECT payment_id, reservation_id, user_id, amount, balance, state, show_id, seats, paid_at, tickets,
    refund_id, refund_balance, refunded_at, refund_reason, outcome, checked_in_at, gate
FROM payment_refund(:refund_id, :payment_id, :user_id)
ORDER BY item;

-- name: cancel_show
-- Cancels a show: see the function.
SELECT payment_cancel_show(:show_id);

-- name: cancel_step
-- Refunds the next payments of a cancelled show: see the function.
SELECT state, payments, amount FROM payment_cancel_step(:show_id, :limit);

-- name: cancellation
-- The progress of a show's cancellation.
SELECT show_id, CASE WHEN finished_at IS NULL THEN 'cancelling' ELSE 'cancelled' END AS state,
    payments_total, payments_refunded, seats_freed, amount_refunded, started_at, finished_at
FROM cancellation WHERE show_id = :show_id;

-- name: running_cancellations
-- The shows with refunds still to be made, the earliest cancelled first.
SELECT show_id FROM cancellation WHERE finished_at IS NULL ORDER BY started_at;

-- name: show_at_stake
-- A show that may be cancelled, with what it has sold.
SELECT c.title, c.venue, c.timezone, s.starts_at, s.cancelled_at,
    t.sold + coalesce(d.seats, 0)::int AS seats_sold,
    t.revenue + coalesce(d.amount, 0)::bigint AS revenue
FROM show AS s
JOIN concert AS c USING (concert_id)
JOIN stock AS t USING (show_id)
CROSS JOIN LATERAL (
    SELECT sum(seats) AS seats, sum(amount) AS amount FROM sold_delta AS d WHERE d.show_id = s.show_id
) AS d
WHERE s.show_id = :show_id;

-- name: fold_stock
-- Folds the sold deltas into the stock: see the function.
SELECT payment_fold_stock(:limit);

-- name: payments_of_user
-- A page of a user's payments, newest first, before one of them.
SELECT y.payment_id, y.reservation_id, y.user_id, y.amount, y.balance, y.state, y.show_id, y.seats,
    y.paid_at,
    (SELECT array_agg(t.ticket_id ORDER BY t.number) FROM ticket AS t
     WHERE t.payment_id = y.payment_id) AS tickets,
    b.refund_id, b.refund_balance, y.refunded_at, y.refund_reason
FROM payment AS y
LEFT JOIN LATERAL (
    SELECT b.transfer_id AS refund_id, b.balance AS refund_balance FROM transfer AS b
    WHERE b.reference = y.payment_id AND b.kind = 'refund'
    OFFSET 0
) AS b ON true
WHERE y.user_id = :user_id
    AND (
        :after::uuid IS NULL
        OR (y.paid_at, y.payment_id) < (
            SELECT a.paid_at, a.payment_id FROM payment AS a
            WHERE a.payment_id = :after AND a.user_id = :user_id
        )
    )
ORDER BY y.paid_at DESC, y.payment_id DESC LIMIT :limit;

-- name: payment_of_user
-- One payment of a user.
SELECT y.payment_id, y.reservation_id, y.user_id, y.amount, y.balance, y.state, y.show_id, y.seats,
    y.paid_at,
    (SELECT array_agg(t.ticket_id ORDER BY t.number) FROM ticket AS t
     WHERE t.payment_id = y.payment_id) AS tickets,
    b.refund_id, b.refund_balance, y.refunded_at, y.refund_reason
FROM payment AS y
LEFT JOIN LATERAL (
    SELECT b.transfer_id AS refund_id, b.balance AS refund_balance FROM transfer AS b
    WHERE b.reference = y.payment_id AND b.kind = 'refund'
    OFFSET 0
) AS b ON true
WHERE y.payment_id = :payment_id AND y.user_id = :user_id;

-- name: sales_of_concert
-- The seats of a concert by state and its revenue, from the counters: no seat is read. The seats of a
-- cancelled show don't count; its money does until it is refunded.
SELECT coalesce(sum(s.seats_total) FILTER (WHERE s.cancelled_at IS NULL), 0)::int AS seats_total,
    coalesce(sum(t.sold + coalesce(d.seats, 0)) FILTER (WHERE s.cancelled_at IS NULL), 0)::int AS sold,
    coalesce(sum(t.revenue + coalesce(d.amount, 0)), 0)::bigint AS revenue,
    coalesce(sum(h.seats), 0)::int AS held
FROM show AS s
JOIN stock AS t USING (show_id)
LEFT JOIN (
    SELECT show_id, sum(seats) AS seats, sum(amount) AS amount FROM sold_delta GROUP BY show_id
) AS d USING (show_id)
LEFT JOIN (
    SELECT show_id, sum(cardinality(seats)) AS seats FROM reservation
    WHERE state = 'held' AND held_until > statement_timestamp()
    GROUP BY show_id
) AS h USING (show_id)
WHERE s.concert_id = :concert_id;

-- name: expired_holds
-- The number of a concert's holds that ended unpaid.
SELECT count(*)::int FROM reservation
WHERE concert_id = :concert_id
    AND (state = 'expired' OR (state = 'held' AND held_until <= clock_timestamp()));
