-- name: hold
-- Holds seats: see the function.
SELECT outcome, reason, taken, seat_limit, retry_after_seconds, seats, amount, prices, sections,
    created_at, held_until, by_address
FROM reservation_hold(
    :room_id, :number, :place_id, :user_id, :concert_id, :reservation_id, :request_hash, :show_id,
    :count, p_networks => :network, p_lasts => NULL, p_seats => :seats, p_sections => NULL,
    p_address_seats => :address_seats, p_unpaid_holds => :unpaid_holds, p_unpaid_seconds => :unpaid_seconds
)
ORDER BY item;

-- name: hold_best
-- Holds the best free seats: see the function.
SELECT outcome, reason, available, together, seat_limit, retry_after_seconds, seats, amount, prices,
    sections, created_at, held_until, by_address
FROM reservation_hold_best(
    :room_id, :number, :place_id, :user_id, :concert_id, :reservation_id, :request_hash, :show_id,
    :count, :section, :together, :network, :search_from, :address_seats, :unpaid_holds, :unpaid_seconds
)
ORDER BY item;

-- name: release
-- Releases holds: see the function.
SELECT outcome, reason, state::text
FROM reservation_release(:reservation_id, :user_id, :room_id, :number, :place_id)
ORDER BY item;

-- name: leave
-- Ends places because their users leave, and releases their holds: see the function.
SELECT outcome, reason FROM reservation_leave(:room_id, :number, :place_id) ORDER BY item;

-- name: expire$
-- Marks holds that have ended as expired: see the function.
SELECT reservation_expire(:limit);

-- name: reservations
-- Reservations by id and owner; item is the place in the arrays. A hold that has ended is expired, whether
-- or not it is marked.
SELECT k.item::int AS item, r.reservation_id, r.concert_id, r.show_id, s.date, s.starts_at, r.seats,
    t.sections, t.prices, r.amount,
    CASE WHEN r.state = 'held' AND r.held_until <= clock_timestamp() THEN 'expired'
        ELSE r.state::text END AS state,
    r.held_until, r.created_at, y.payment_id
FROM unnest(:reservation_id::uuid[], :user_id::uuid[])
    WITH ORDINALITY AS k (reservation_id, user_id, item)
CROSS JOIN LATERAL (
    SELECT * FROM reservation AS r
    WHERE r.reservation_id = k.reservation_id AND r.user_id = k.user_id
) AS r
CROSS JOIN LATERAL (SELECT date, starts_at FROM show AS s WHERE s.show_id = r.show_id) AS s
LEFT JOIN LATERAL (
    SELECT payment_id FROM payment AS y WHERE y.reservation_id = r.reservation_id
) AS y ON true
CROSS JOIN LATERAL (
    SELECT array_agg(t.price ORDER BY t.number) AS prices,
        array_agg(t.section ORDER BY t.number) AS sections
    FROM seat AS t WHERE t.show_id = r.show_id AND t.number = ANY (r.seats)
) AS t;

-- name: reservations_of_user
-- The ids of a user's newest reservations that are held, paid or refunded.
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

-- name: active_holds
-- The active holds of a concert, the next to end first. Reads the active holds of all concerts in that
-- order until there are enough: no other index would read fewer.
SELECT reservation_id, user_id, show_id, seats, amount, created_at, held_until
FROM (
    SELECT * FROM reservation
    WHERE state = 'held' AND held_until > statement_timestamp()
    ORDER BY held_until
    OFFSET 0
) AS r
WHERE concert_id = :concert_id LIMIT :limit;
