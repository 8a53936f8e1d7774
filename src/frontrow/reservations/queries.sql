-- name: hold
-- Holds seats: see the function.
SELECT outcome, reason, taken, seat_limit, retry_after_seconds, amount, prices, sections, created_at,
    held_until
FROM reservation_hold(
    :room_ids, :numbers, :place_ids, :user_ids, :concert_ids, :reservation_ids, :request_hashes,
    :show_ids, :firsts, :lasts, :seats, :unpaid_holds, :unpaid_holds_seconds, false
)
ORDER BY item;

-- name: hold_best
-- Holds the best free seats: see the function.
SELECT outcome, reason, seat_limit, retry_after_seconds, available, together, seats, amount, prices,
    sections, created_at, held_until
FROM reservation_hold_best(
    :room_ids, :numbers, :place_ids, :user_ids, :concert_ids, :reservation_ids, :request_hashes,
    :show_ids, :sections, :counts, :together, :unpaid_holds, :unpaid_holds_seconds
)
ORDER BY item;

-- name: release
-- Releases holds: see the function.
SELECT outcome, reason, state::text
FROM reservation_release(:reservation_ids, :user_ids, :room_ids, :numbers, :place_ids)
ORDER BY item;

-- name: leave
-- Ends places because their owners leave, and lets their holds go: see the function.
SELECT outcome, reason FROM reservation_leave(:room_ids, :numbers, :place_ids) ORDER BY item;

-- name: expire$
-- Writes down that holds have ended: see the function.
SELECT reservation_expire(:limit);

-- name: reservations
-- Reservations by id and owner, in the order asked for; NULLs where there is none. A hold past its
-- time is expired, whether or not that is written down.
SELECT r.reservation_id, r.concert_id, r.show_id, s.date, s.starts_at, r.seats, t.prices, t.sections,
    r.amount, r.held_until, r.created_at, y.payment_id,
    CASE WHEN r.state = 'held' AND r.held_until <= clock_timestamp() THEN 'expired'
        ELSE r.state::text END AS state
FROM unnest(:reservation_ids::uuid[], :user_ids::uuid[])
    WITH ORDINALITY AS k (reservation_id, user_id, item)
LEFT JOIN LATERAL (
    SELECT * FROM reservation AS r
    WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id
) AS r ON true
LEFT JOIN LATERAL (SELECT date, starts_at FROM show AS s WHERE s.show_id = r.show_id) AS s ON true
LEFT JOIN LATERAL (
    SELECT payment_id FROM payment AS y WHERE y.reservation_id = r.reservation_id
) AS y ON true
LEFT JOIN LATERAL (
    SELECT array_agg(t.price ORDER BY t.number) AS prices,
        array_agg(t.section ORDER BY t.number) AS sections
    FROM seat AS t WHERE t.show_id = r.show_id AND t.number = ANY (r.seats)
) AS t ON true
ORDER BY k.item;

-- name: reservations_of_user
-- The newest reservations of a user: held, paid or refunded.
SELECT r.reservation_id FROM (
    SELECT reservation_id, created_at FROM reservation
    WHERE user_id = :user_id AND state IN ('held', 'paid')
    UNION ALL
    SELECT r.reservation_id, r.created_at FROM payment AS y
    CROSS JOIN LATERAL (
        SELECT r.* FROM reservation AS r WHERE r.reservation_id = y.reservation_id OFFSET 0
    ) AS r
    WHERE y.user_id = :user_id AND y.state = 'refunded'
) AS r
ORDER BY r.created_at DESC LIMIT :limit;

-- name: live_holds_of_concert
-- The holds of a concert that run, the next to end first. Goes through the live holds of all concerts
-- in that order until there are enough: of no other index would less be read.
SELECT reservation_id, user_id, show_id, seats, amount, created_at, held_until
FROM (
    SELECT * FROM reservation
    WHERE state = 'held' AND held_until > statement_timestamp()
    ORDER BY held_until
    OFFSET 0
) AS r
WHERE concert_id = :concert_id LIMIT :limit;
