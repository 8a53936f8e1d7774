-- A large installation, inserted in a few statements: one line of 50,000 places, 50 shows of 1,000
-- seats, 19,500 reservations. User n has number n, and seat n of all seats: 1..10000 have paid for
-- it, the holds of 10001..17000 have expired (the last 100 are not swept), 17001..19500 hold it and
-- have the money; up to 20000 they are admitted without a hold, of whom the last 100 have not
-- claimed yet. The rest wait.

CREATE FUNCTION pg_temp.id(kind text, n int) RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN md5(kind || n)::uuid;

-- Each hold is from a network of its own: an IPv4 address, or an IPv6 /48.
CREATE FUNCTION pg_temp.network(n int) RETURNS bigint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN n % 2 = 0 THEN n ELSE (x'20010db8'::bigint << 32) + (n::bigint << 16) END;

INSERT INTO concert VALUES
    (pg_temp.id('concert', 1), 1, 'The Test', NULL, NULL, 'UTC', 'KRW', 300, 4, now());
INSERT INTO show
SELECT pg_temp.id('show', n), pg_temp.id('concert', 1), 1, now() + n * interval '1 day',
    current_date + n, now() + n * interval '1 day', 1000, 50000
FROM generate_series(1, 50) AS n;
INSERT INTO show_section
SELECT pg_temp.id('show', n), 1, NULL, 50000, 1, 1000, 40 FROM generate_series(1, 50) AS n;
INSERT INTO stock SELECT pg_temp.id('show', n), CASE WHEN n <= 10 THEN 1000 ELSE 0 END
FROM generate_series(1, 50) AS n;
INSERT INTO waiting_room (concert_id, policy, session_seconds, claim_seconds, issued, serving, called)
VALUES (pg_temp.id('concert', 1), '{"kind": "max_active", "max_active": 3100}', 600, 120, 50000, 20000,
    20000);
INSERT INTO policy_change SELECT room_id, 1, policy, now() - interval '1 day' FROM waiting_room;

INSERT INTO app_user SELECT pg_temp.id('user', n), now() - interval '1 day'
FROM generate_series(1, 50000) AS n;
INSERT INTO user_key SELECT sha256(n::text::bytea), pg_temp.id('user', n), now() - interval '1 day'
FROM generate_series(1, 50000) AS n;
-- Some of them had another key before, which was revoked.
INSERT INTO user_key
SELECT sha256(('old' || n)::bytea), pg_temp.id('user', n), now() - interval '2 days', now(), n
FROM generate_series(1, 1000) AS n;
-- Some have a session.
INSERT INTO user_key
SELECT sha256(('session' || n)::bytea), pg_temp.id('user', n), now() - interval '1 day', NULL, NULL,
    now() + interval '1 day', sha256(('sign in' || n)::bytea)
FROM generate_series(1, 10000) AS n;
INSERT INTO used_challenge
SELECT substr(sha256(n::text::bytea), 1, 16), pg_temp.id('user', n), now() + n * interval '1 ms'
FROM generate_series(1, 20000) AS n;
INSERT INTO installation VALUES (true, 'KRW', 1000);
INSERT INTO place
SELECT pg_temp.id('place', n), pg_temp.id('user', n), now() - interval '2 hours',
    (SELECT room_id FROM waiting_room), n,
    (CASE WHEN n <= 17000 THEN 'finished' WHEN n <= 20000 THEN 'admitted' ELSE 'waiting' END)::place_state,
    (CASE WHEN n <= 10000 THEN 'paid' WHEN n <= 17000 THEN 'expired' END)::finish_reason,
    NULL, t.admitted_at, CASE WHEN n <= 19900 THEN t.admitted_at END,
    CASE WHEN n <= 19900 THEN t.admitted_at + interval '10 minutes' END,
    t.admitted_at + interval '10 minutes',
    CASE WHEN n <= 17000 THEN t.admitted_at + interval '10 minutes' END
FROM generate_series(1, 50000) AS n
CROSS JOIN LATERAL (
    SELECT CASE WHEN n <= 17000 THEN now() - interval '1 hour' WHEN n <= 20000 THEN now() END
        + (n - 1) / 10 * interval '1 microsecond' AS admitted_at
) AS t;
INSERT INTO admission
SELECT (SELECT room_id FROM waiting_room), n, n + 9, 10, 3000, 1,
    CASE WHEN n <= 17000 THEN now() - interval '1 hour' ELSE now() END
        + (n - 1) / 10 * interval '1 microsecond'
FROM generate_series(1, 19991, 10) AS n;

INSERT INTO reservation
SELECT pg_temp.id('reservation', n), pg_temp.id('user', n), pg_temp.id('concert', 1),
    pg_temp.id('show', 1 + (n - 1) / 1000), (SELECT room_id FROM waiting_room), n, 1,
    ARRAY[1 + (n - 1) % 1000], 50000,
    (CASE WHEN n <= 10000 THEN 'paid' WHEN n <= 16900 THEN 'expired' ELSE 'held' END)::reservation_state,
    t.created_at, t.created_at + interval '5 minutes',
    CASE WHEN n <= 10000 THEN t.created_at WHEN n <= 16900 THEN t.created_at + interval '6 minutes' END,
    CASE WHEN n > 17000 THEN pg_temp.network(n) END
FROM generate_series(1, 19500) AS n
CROSS JOIN LATERAL (
    SELECT CASE WHEN n <= 17000 THEN now() - interval '1 hour' ELSE now() END AS created_at
) AS t;
INSERT INTO seat
SELECT pg_temp.id('show', s), n, 50000, NULL, r.reservation_id,
    CASE r.state WHEN 'paid' THEN 'infinity' ELSE r.held_until END
FROM generate_series(1, 50) AS s CROSS JOIN generate_series(1, 1000) AS n
LEFT JOIN reservation AS r
    ON r.reservation_id = pg_temp.id('reservation', (s - 1) * 1000 + n);

INSERT INTO wallet
SELECT pg_temp.id('user', n), CASE WHEN n <= 10000 THEN 0 ELSE 100000 END,
    CASE WHEN n <= 10000 THEN 2 ELSE 1 END
FROM generate_series(1, 20000) AS n;
INSERT INTO transfer
SELECT pg_temp.id('charge', n), pg_temp.id('user', n), 1, 'charge',
    '00000000-0000-0000-0000-000000000001', pg_temp.id('user', n), t.amount, t.amount, NULL, now()
FROM generate_series(1, 20000) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n <= 10000 THEN 50000 ELSE 100000 END AS amount) AS t;
INSERT INTO transfer
SELECT pg_temp.id('payment', n), pg_temp.id('user', n), 2, 'payment', pg_temp.id('user', n),
    '00000000-0000-0000-0000-000000000002', 50000, 0, pg_temp.id('payment', n), now()
FROM generate_series(1, 10000) AS n;
INSERT INTO payment
SELECT pg_temp.id('payment', n), r.reservation_id, r.user_id, r.concert_id, r.show_id, r.seats,
    r.amount, 0, 'paid', now()
FROM generate_series(1, 10000) AS n
JOIN reservation AS r ON r.reservation_id = pg_temp.id('reservation', n);
INSERT INTO ticket
SELECT pg_temp.id('ticket', n), pg_temp.id('payment', n), y.user_id, y.show_id, y.seats[1]
FROM generate_series(1, 10000) AS n JOIN payment AS y ON y.payment_id = pg_temp.id('payment', n);

INSERT INTO signing_key (key_id, purpose, secret, public_key, signs_at)
VALUES ('21fe31df', 'ticket', sha256('secret'), sha256('public'), clock_timestamp());

-- Each show has a thousand changes in the log, by old transactions.
INSERT INTO seat_change_log VALUES (true, '0a1b2c3d');
INSERT INTO seat_change
SELECT pg_temp.id('show', s), n::text::xid8, ARRAY[n], now()
FROM generate_series(1, 50) AS s CROSS JOIN generate_series(1, 1000) AS n;
