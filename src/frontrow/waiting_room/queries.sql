-- name: join_room
-- Gives users their places in one line: see the function.
SELECT * FROM waiting_room_join(:room_id, :user_ids, :place_ids) ORDER BY item;

-- name: enter
-- Whether places may act now; claims those that act for the first time: see the function.
SELECT outcome, reason FROM waiting_room_enter(:room_ids, :numbers, :place_ids) ORDER BY item;

-- name: admit^
-- Calls the next people of one line: see the function. Nothing where nobody waits, if that is all that is
-- asked for: the function counts those who are in and finishes the overdue even then.
SELECT a.outcome, a.admitted, a.expired, a.active, a.more
FROM waiting_room AS w
CROSS JOIN LATERAL waiting_room_admit(
    w.room_id, :policy_version, :cap, :rate, :rate_seconds
) AS a
WHERE w.room_id = :room_id
    AND (:tidy OR waiting_room_waiting(w.issued, w.serving, w.left_count, w.left_passed) > 0);

-- name: close$
-- Ends those who still wait in a line that has closed: see the function.
SELECT waiting_room_close(:room_id, :after, :limit);

-- name: adapt$
-- Tells what was measured, and takes the next step of an adaptive policy: see the function.
SELECT waiting_room_adapt(:room_id, :policy_version, :calls, :bounds_ms, :step_seconds);

-- name: configure$
-- Replaces a line's policy and times: see the function.
SELECT waiting_room_configure(
    :concert_id, :policy::jsonb, :session_seconds, :claim_seconds, :opens_at, :closes_at,
    :line_order, :seed, :known_versions
);

-- name: close_entries$
-- Closes the entries of a draw whose time has come: see the function.
SELECT waiting_room_close_entries(:room_id);

-- name: take_time!
-- For this transaction: to draw a long line may take longer than any call may.
SET LOCAL statement_timeout = 0;

-- name: draw$
-- Draws a line whose entries are closed: see the function.
SELECT waiting_room_draw(:room_id);

-- name: draw_of^
-- A concert's draw; how it turned out, only once it has.
SELECT d.commitment, d.committed_at, w.opens_at, d.drawn_at, d.digest,
    CASE WHEN d.drawn_at IS NOT NULL THEN d.entrants END AS entrants,
    CASE WHEN d.drawn_at IS NOT NULL THEN d.seed END AS seed
FROM waiting_room AS w JOIN draw AS d USING (room_id)
WHERE w.concert_id = :concert_id;

-- name: entries
-- The entrants of a line that has been drawn, by number.
SELECT p.number, waiting_room_entry(p.place_id) AS entry
FROM place AS p
WHERE p.room_id = :room_id AND p.number > :after AND p.number <= :entrants
ORDER BY p.number LIMIT :limit;

-- name: positions$
-- The positions of a drawn line's numbers 1.., 4 bytes each, in network order.
SELECT string_agg(int4send(position), ''::bytea ORDER BY number) FROM drawn WHERE room_id = :room_id;

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
SELECT w.room_id, w.concert_id, w.policy::text, w.policy_version, w.claim_seconds, w.opens_at,
    w.closes_at, w.paused, w.issued, w.serving, w.called, w.left_count, w.entrants,
    w.pruned_to, w.adaptive_cap, o.by_draw,
    coalesce(w.opens_at > now, false) OR (o.by_draw AND w.entrants IS NULL) AS scheduled,
    o.by_draw AND w.entrants IS NULL AND w.opens_at <= now AS draw_due,
    coalesce(w.closes_at <= now, false) AS closed, now AS seen_at,
    p.looked_at, p.called AS called_then, p.active AS active_then,
    p.finish_hazard, p.finish_spread, p.leave_hazard, p.leave_spread
FROM clock_timestamp() AS now, waiting_room AS w
CROSS JOIN LATERAL (SELECT w.line_order = 'draw' AS by_draw) AS o
LEFT JOIN line_pace AS p USING (room_id);

-- name: left_between$
-- Who left a line while waiting, by order of leaving, of the numbers behind `behind`: 4 bytes each, in
-- network order.
SELECT string_agg(int4send(number), ''::bytea ORDER BY left_seq) FROM place
WHERE room_id = :room_id AND left_seq > :after AND left_seq <= :until AND number > :behind;

-- name: stock_of_concerts
-- Seats by concert: how many there are, and of the shows that still sell, how many are neither sold nor
-- held, and how many are held; and whether any show still sells. No seat is looked at: what is sold is counted by the purchases, what is
-- held by the live holds.
SELECT s.concert_id, sum(s.seats_total)::int AS total,
    coalesce(sum(s.seats_total - t.sold - coalesce(d.seats, 0) - coalesce(h.seats, 0))
        FILTER (WHERE s.sales_end_at > statement_timestamp()), 0)::int AS available,
    coalesce(sum(h.seats), 0)::int AS held,
    max(show_sale(s.sales_end_at, s.cancelled_at, statement_timestamp())) AS sale
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

-- name: admitted_lately_by_room
-- How many each line has called within the last minute.
SELECT w.room_id, a.admitted
FROM waiting_room AS w
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.admitted), 0)::int AS admitted FROM admission AS a
    WHERE a.room_id = w.room_id AND a.admitted_at > clock_timestamp() - interval '1 minute'
) AS a;

-- name: settings_of_room^
-- One line's policy and times, and the version that they are.
SELECT policy::text, session_seconds, claim_seconds, opens_at, closes_at, line_order, policy_version
FROM waiting_room WHERE concert_id = :concert_id;

-- name: place_counts
-- The places of a concert's line, by state and reason, and how many of them joined, were called or were
-- finished within the last minute.
SELECT p.state::text, p.reason::text, p.admitted_at IS NOT NULL AS called,
    p.claimed_at IS NOT NULL AS claimed, count(*)::int AS places,
    (count(*) FILTER (WHERE p.joined_at > minute.ago))::int AS joined_lately,
    (count(*) FILTER (WHERE p.admitted_at > minute.ago))::int AS admitted_lately,
    (count(*) FILTER (WHERE p.finished_at > minute.ago))::int AS finished_lately
FROM waiting_room AS w
JOIN place AS p USING (room_id),
LATERAL (SELECT statement_timestamp() - interval '1 minute' AS ago) AS minute
WHERE w.concert_id = :concert_id
GROUP BY 1, 2, 3, 4;

-- name: cap_of_room$
-- How many may be called and not finished in a concert's line; NULL where nothing bounds it.
SELECT coalesce(adaptive_cap, (policy ->> 'max_active')::int)
FROM waiting_room WHERE concert_id = :concert_id;

-- name: pause$
-- Stops or resumes calling; gives the room.
UPDATE waiting_room SET paused = :paused WHERE concert_id = :concert_id RETURNING room_id;

-- name: line_history
-- What has happened in a concert's line, by kind and minute, from the beginning of a minute on; and how
-- many places wait and are in now, without a minute. One row of no kind in any case, if there is the
-- concert. All of it is of one moment. Whole minutes are cut out in integers: a long line is counted
-- as quickly as for the statistics.
SELECT c.now AS as_of, e.kind, e.minute, e.places
FROM waiting_room AS w
CROSS JOIN LATERAL (
    SELECT statement_timestamp() AS now, date_bin('1 minute', statement_timestamp(), 'epoch')
        - make_interval(mins => :minutes - 1) AS since
) AS c
LEFT JOIN LATERAL (
    SELECT p.state::text AS kind, NULL::timestamptz AS minute, count(*)::int AS places
    FROM place AS p WHERE p.room_id = w.room_id AND p.state <> 'finished'
    GROUP BY 1
    UNION ALL
    SELECT 'joined', date_bin('1 minute', p.joined_at, 'epoch') AS minute, count(*)::int
    FROM place AS p WHERE p.room_id = w.room_id AND p.joined_at >= c.since
    GROUP BY 2
    UNION ALL
    SELECT 'called', date_bin('1 minute', p.admitted_at, 'epoch') AS minute, count(*)::int
    FROM place AS p WHERE p.room_id = w.room_id AND p.admitted_at >= c.since
    GROUP BY 2
    UNION ALL
    SELECT CASE WHEN p.reason = 'paid' THEN 'paid' WHEN p.admitted_at IS NULL THEN 'gave_up' ELSE 'gone' END,
        date_bin('1 minute', p.finished_at, 'epoch') AS minute, count(*)::int
    FROM place AS p WHERE p.room_id = w.room_id AND p.finished_at >= c.since
    GROUP BY 1, 2
) AS e ON true
WHERE w.concert_id = :concert_id;
