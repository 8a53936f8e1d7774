-- 10,000 concerts, of which 20 have users: in the rooms 5000 to 5019 one is admitted and two wait, and in every other
-- of them a slot is free. The others are quiet and have not opened.

INSERT INTO concert (concert_id, request_hash, title, timezone, currency, hold_seconds,
    max_seats_per_user, created_at)
SELECT md5('concert' || n)::uuid, n, 'Concert ' || n, 'UTC', 'KRW', 300, 4, now()
FROM generate_series(1, 10000) AS n;
INSERT INTO show (show_id, concert_id, request_hash, starts_at, date, sales_end_at, seats_total,
    price_from)
SELECT md5('show' || n)::uuid, md5('concert' || n)::uuid, n, now() + interval '30 days',
    current_date + 30, now() + interval '30 days', 50, 1000
FROM generate_series(1, 10000) AS n;
INSERT INTO stock (show_id)
SELECT md5('show' || n)::uuid FROM generate_series(1, 10000) AS n;
INSERT INTO waiting_room (concert_id, policy, session_seconds, claim_seconds, opens_at, closes_at,
    issued, serving, called)
SELECT md5('concert' || n)::uuid,
    jsonb_build_object('kind', 'max_active', 'max_active', 1 + n % 2), 600, 120,
    CASE WHEN u.are_here THEN NULL ELSE now() + interval '1 day' END, now() + interval '2 days',
    CASE WHEN u.are_here THEN 3 ELSE 0 END, u.are_here::int, u.are_here::int
FROM generate_series(1, 10000) AS n
CROSS JOIN LATERAL (
    SELECT n >= 5000 AND n < 5020 AS are_here
) AS u;
INSERT INTO place (place_id, user_id, joined_at, room_id, number, state, admitted_at, expires_at)
SELECT gen_random_uuid(), gen_random_uuid(), now(), r, k,
    CASE WHEN k = 1 THEN 'admitted' ELSE 'waiting' END::place_state,
    CASE WHEN k = 1 THEN now() END, CASE WHEN k = 1 THEN now() + interval '2 minutes' END
FROM generate_series(5000, 5019) AS r, generate_series(1, 3) AS k;
-- Finished places of other rooms.
INSERT INTO place (place_id, user_id, joined_at, room_id, number, state, reason, finished_at)
SELECT gen_random_uuid(), gen_random_uuid(), now(), r, 1, 'finished', 'left', now()
FROM generate_series(1, 4000) AS r;
SELECT waiting_room_observe(r, NULL, NULL, NULL, 1)
FROM generate_series(1, 10000) AS r;
UPDATE line_pace SET looked_at = looked_at - interval '1 minute';
