-- name: tickets_of_user
-- A user's tickets, the next show first.
SELECT t.ticket_id, t.payment_id, s.concert_id, c.title, c.venue, c.timezone, t.show_id, s.date,
    s.starts_at, t.number, e.*, y.paid_at, t.checked_in_at, t.void_at, t.void_reason
FROM payment AS y
CROSS JOIN LATERAL (SELECT * FROM ticket AS t WHERE t.payment_id = y.payment_id OFFSET 0) AS t
JOIN show AS s ON s.show_id = t.show_id
JOIN concert AS c ON c.concert_id = s.concert_id
CROSS JOIN LATERAL ticket_seat(t.show_id, t.number) AS e
WHERE y.user_id = :user_id
ORDER BY s.starts_at, t.number, t.ticket_id LIMIT :limit;

-- name: ticket_of_user
-- One ticket of a user.
SELECT t.ticket_id, t.payment_id, s.concert_id, c.title, c.venue, c.timezone, t.show_id, s.date,
    s.starts_at, t.number, e.*, y.paid_at, t.checked_in_at, t.void_at, t.void_reason
FROM ticket AS t
JOIN payment AS y ON y.payment_id = t.payment_id
JOIN show AS s ON s.show_id = t.show_id
JOIN concert AS c ON c.concert_id = s.concert_id
CROSS JOIN LATERAL ticket_seat(t.show_id, t.number) AS e
WHERE t.ticket_id = :ticket_id AND t.user_id = :user_id;

-- name: revision_of_ticket
-- How often and when the facts of a user's ticket changed last, and whether it is cancelled: void, or of a
-- cancelled show whose refunds still run.
SELECT c.revision + (e.cancelled_at IS NOT NULL)::int AS number,
    greatest(y.paid_at, c.revised_at, e.cancelled_at) AS revised_at,
    e.cancelled_at IS NOT NULL AS cancelled
FROM ticket AS t
JOIN payment AS y ON y.payment_id = t.payment_id
JOIN show AS s ON s.show_id = t.show_id
JOIN concert AS c ON c.concert_id = s.concert_id
CROSS JOIN LATERAL (SELECT least(t.void_at, s.cancelled_at) AS cancelled_at) AS e
WHERE t.ticket_id = :ticket_id AND t.user_id = :user_id;

-- name: used_ticket_of_payment
-- The ticket of a payment that was checked in first.
SELECT t.checked_in_at, t.gate, t.ticket_id, s.concert_id, c.title AS concert_title, t.show_id, s.date,
    s.starts_at, t.number, e.*
FROM ticket AS t
JOIN show AS s ON s.show_id = t.show_id
JOIN concert AS c ON c.concert_id = s.concert_id
CROSS JOIN LATERAL ticket_seat(t.show_id, t.number) AS e
WHERE t.payment_id = :payment_id AND t.checked_in_at IS NOT NULL
ORDER BY t.checked_in_at LIMIT 1;

-- name: check_in
-- Checks tickets in: see the function.
SELECT outcome, ticket_id, concert_id, title, show_id, date, starts_at, number, section, "row", seat,
    checked_in_at, gate, void_reason
FROM ticket_check_in(:ticket_id, :key_id, :check_in_id, :gate, :for_show, :for_concert)
ORDER BY item;
