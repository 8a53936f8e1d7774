-- name: add_signing_key!
-- Makes the key that signs tokens, unless there is one in use.
INSERT INTO signing_key (key_id, purpose, secret) VALUES (:key_id, 'token', :secret)
ON CONFLICT DO NOTHING;

-- name: signing_keys
-- The keys that tokens may be signed with.
SELECT key_id, secret, retired_at FROM signing_key WHERE purpose = 'token' ORDER BY created_at;

-- name: join_room
-- Gives users their places in one line: see the function.
SELECT * FROM waiting_room_join(:room_id, :user_ids, :place_ids) ORDER BY item;

-- name: enter
-- Whether places may act now; claims those that act for the first time: see the function.
SELECT outcome, reason FROM waiting_room_enter(:room_ids, :numbers, :place_ids) ORDER BY item;

-- name: admit^
-- Calls the next people of one line: see the function.
SELECT outcome, admitted, expired, active, more
FROM waiting_room_admit(:room_id, :policy_version, :cap, :rate, :rate_seconds);

-- name: close$
-- Ends those who still wait in a line that has closed: see the function.
SELECT waiting_room_close(:room_id, :limit);

-- name: configure$
-- Replaces a line's policy and times: see the function.
SELECT waiting_room_configure(
    :concert_id, :policy::jsonb, :session_seconds, :claim_seconds, :opens_at, :closes_at
);

-- name: places
-- Places by room and number, in the order asked for; NULLs where there is none.
SELECT p.place_id, p.state::text, p.reason::text, p.admitted_at, p.claimed_at, p.expires_at,
    p.expires_at <= clock_timestamp() AS overdue
FROM unnest(:room_ids::int[], :numbers::int[]) WITH ORDINALITY AS k (room_id, number, item)
LEFT JOIN LATERAL (
    SELECT p.* FROM place AS p WHERE p.room_id = k.room_id AND p.number = k.number
) AS p ON true
ORDER BY k.item;

-- name: lines
-- Every line: what a process needs to answer those who wait.
SELECT room_id, concert_id, policy::text, policy_version, session_seconds, claim_seconds, opens_at,
    closes_at, paused, issued, serving, left_count,
    coalesce(opens_at > clock_timestamp(), false) AS scheduled,
    coalesce(closes_at <= clock_timestamp(), false) AS closed
FROM waiting_room;

-- name: left_between
-- Who left a line while waiting, by order of leaving; of those already passed nobody needs to know.
SELECT number FROM place
WHERE room_id = :room_id AND left_seq > :after AND left_seq <= :until AND number > :serving
ORDER BY left_seq;

-- name: stock_of_concerts
-- Seats by concert: how many there are, and how many are neither sold nor held. No seat is looked at:
-- what is sold is counted by the purchases, what is held by the live holds.
SELECT s.concert_id, sum(s.seats_total)::int AS total,
    sum(s.seats_total - t.sold - coalesce(d.seats, 0) - coalesce(h.seats, 0))::int AS available
FROM show AS s
JOIN stock AS t USING (show_id)
LEFT JOIN (
    SELECT show_id, sum(seats) AS seats FROM sold_delta GROUP BY show_id
) AS d USING (show_id)
LEFT JOIN (
    SELECT show_id, sum(cardinality(seats)) AS seats FROM reservation
    WHERE state = 'held' AND held_until > statement_timestamp()
    GROUP BY show_id
) AS h USING (show_id)
GROUP BY s.concert_id;

-- name: settings_of_room^
-- One line's policy and times.
SELECT policy::text, session_seconds, claim_seconds, opens_at, closes_at
FROM waiting_room WHERE concert_id = :concert_id;

-- name: place_counts
-- The places of a concert's line, by state and reason.
SELECT p.state::text, p.reason::text, p.claimed_at IS NOT NULL AS claimed, count(*)::int AS places
FROM waiting_room AS w JOIN place AS p USING (room_id)
WHERE w.concert_id = :concert_id
GROUP BY 1, 2, 3;

-- name: admitted_lately$
-- How many a line has called within the last minute.
SELECT coalesce(sum(a.admitted), 0)::int
FROM waiting_room AS w JOIN admission AS a USING (room_id)
WHERE w.concert_id = :concert_id AND a.admitted_at > clock_timestamp() - interval '1 minute';

-- name: pause$
-- Stops or resumes calling; gives the room.
UPDATE waiting_room SET paused = :paused WHERE concert_id = :concert_id RETURNING room_id;
