-- name: tickets_of_user
-- A user's tickets, the next show first.
SELECT t.ticket_id, t.payment_id, s.concert_id, c.title, c.venue, c.timezone, t.show_id, s.date,
    s.starts_at, t.number, e.section, t.checked_in_at, t.void_at, t.void_reason
FROM payment AS y
CROSS JOIN LATERAL (SELECT * FROM ticket AS t WHERE t.payment_id = y.payment_id OFFSET 0) AS t
JOIN show AS s ON s.show_id = t.show_id
JOIN concert AS c ON c.concert_id = s.concert_id
JOIN seat AS e ON e.show_id = t.show_id AND e.number = t.number
WHERE y.user_id = :user_id
ORDER BY s.starts_at, t.number, t.ticket_id LIMIT :limit;

-- name: ticket_of_user^
-- One ticket of a user.
SELECT t.ticket_id, t.payment_id, s.concert_id, c.title, c.venue, c.timezone, t.show_id, s.date,
    s.starts_at, t.number, e.section, t.checked_in_at, t.void_at, t.void_reason
FROM ticket AS t
JOIN show AS s ON s.show_id = t.show_id
JOIN concert AS c ON c.concert_id = s.concert_id
JOIN seat AS e ON e.show_id = t.show_id AND e.number = t.number
WHERE t.ticket_id = :ticket_id AND t.user_id = :user_id;

-- name: check_in
-- Lets tickets in: see the function.
SELECT * FROM ticket_check_in(
    :ticket_ids, :key_ids, :check_in_ids, :gates, :for_shows, :for_concerts
)
ORDER BY item;
