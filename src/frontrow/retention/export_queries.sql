-- name: let_reader_be_slow
-- For this transaction: how long (milliseconds) it may wait for its reader.
SELECT set_config('idle_in_transaction_session_timeout', :limit_ms, true);

-- name: account
-- A user's account.
SELECT u.user_id, u.created_at, e.erased_at, coalesce(w.balance, 0) AS balance, i.currency
FROM app_user AS u
LEFT JOIN erasure AS e USING (user_id)
LEFT JOIN wallet AS w USING (user_id)
LEFT JOIN installation AS i ON true
WHERE u.user_id = :user_id;

-- name: keys
-- A user's keys, by age.
SELECT created_at, revoked_at, expires_at FROM user_key WHERE user_id = :user_id ORDER BY created_at;

-- name: places
-- A user's places. No index covers this: all places are read.
SELECT w.concert_id, p.number, p.state, p.reason, p.joined_at, p.admitted_at, p.claimed_at,
    p.expires_at, p.finished_at
FROM place AS p JOIN waiting_room AS w USING (room_id)
WHERE p.user_id = :user_id ORDER BY p.joined_at, p.room_id, p.number;

-- name: reservations
-- A user's reservations; all reservations are read.
SELECT reservation_id, concert_id, show_id, place_number, seats, amount, state, created_at,
    held_until, closed_at
FROM reservation WHERE user_id = :user_id ORDER BY created_at, reservation_id;

-- name: transfers
-- A user's transfers, in order.
SELECT transfer_id, kind, amount, balance, reference, created_at FROM transfer
WHERE user_id = :user_id ORDER BY entry;

-- name: payments
-- A user's payments, in order.
SELECT payment_id, reservation_id, concert_id, show_id, seats, amount, balance, state, paid_at,
    refunded_at, refund_reason
FROM payment WHERE user_id = :user_id ORDER BY paid_at, payment_id;

-- name: tickets
-- A user's tickets, in order of their payments.
SELECT t.ticket_id, t.payment_id, t.show_id, t.number, t.checked_in_at, t.gate, t.void_at, t.void_reason
FROM payment AS y CROSS JOIN LATERAL (
    SELECT * FROM ticket AS t WHERE t.payment_id = y.payment_id OFFSET 0
) AS t
WHERE y.user_id = :user_id ORDER BY y.paid_at, y.payment_id, t.number;
