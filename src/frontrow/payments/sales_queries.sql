-- name: payments_of_concert
-- A page of a concert's payments with their tickets, newest first, before one of them.
SELECT y.payment_id, y.reservation_id, y.user_id, y.concert_id, y.show_id, s.starts_at, y.amount,
    y.state, y.paid_at, y.refunded_at, y.refund_reason, t.*
FROM payment AS y
JOIN show AS s ON s.show_id = y.show_id
CROSS JOIN LATERAL ticket_of_payment(y.payment_id) AS t
WHERE y.concert_id = :concert_id
    -- Two values instead of an additional condition, so that the index scan starts at the page's first row.
    AND (y.paid_at, y.payment_id) < (
        CASE WHEN :after::uuid IS NULL THEN 'infinity' ELSE (
            SELECT coalesce(max(a.paid_at), '-infinity') FROM payment AS a
            WHERE a.payment_id = :after AND a.concert_id = :concert_id
        ) END,
        coalesce(:after::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
ORDER BY y.paid_at DESC, y.payment_id DESC LIMIT :limit;

-- name: payments_of_id
-- The payments found by the id of a payment, a reservation, a ticket or a user, newest first.
SELECT y.payment_id, y.reservation_id, y.user_id, y.concert_id, y.show_id, s.starts_at, y.amount,
    y.state, y.paid_at, y.refunded_at, y.refund_reason, t.*
FROM (
    SELECT payment_id FROM payment WHERE payment_id = :any_id
    UNION SELECT payment_id FROM payment WHERE reservation_id = :any_id
    UNION SELECT payment_id FROM ticket WHERE ticket_id = :any_id
    UNION (
        SELECT payment_id FROM payment WHERE user_id = :any_id
        ORDER BY paid_at DESC, payment_id DESC LIMIT :limit
    )
) AS f
CROSS JOIN LATERAL (SELECT * FROM payment AS y WHERE y.payment_id = f.payment_id OFFSET 0) AS y
JOIN show AS s ON s.show_id = y.show_id
CROSS JOIN LATERAL ticket_of_payment(y.payment_id) AS t
ORDER BY y.paid_at DESC, y.payment_id DESC;

-- name: shows_of_concert
-- The shows of a concert, in order of time, with their seats by state and their revenue, from the counters:
-- no seat is read. The money of a cancelled show counts until it is refunded.
SELECT s.show_id, s.date, s.starts_at, s.sales_end_at, s.cancelled_at, s.seats_total AS total,
    (t.sold + coalesce(d.seats, 0))::int AS sold, coalesce(h.seats, 0)::int AS held,
    (t.revenue + coalesce(d.amount, 0))::bigint AS revenue
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
WHERE s.concert_id = :concert_id
ORDER BY s.starts_at, s.show_id;

-- name: let_in
-- The number of a show's valid tickets, and of those that are checked in.
SELECT count(*)::int AS tickets, count(t.checked_in_at)::int AS checked_in
FROM ticket AS t WHERE t.show_id = :show_id AND t.void_at IS NULL;
