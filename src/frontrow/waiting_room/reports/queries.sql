-- name: place_counts
-- The places of a concert's line by state and reason, and how many of them joined, were admitted or were
-- finished within the last minute.
SELECT p.state, p.reason, p.admitted_at IS NOT NULL AS admitted,
    p.claimed_at IS NOT NULL AS claimed, count(*)::int AS places,
    (count(*) FILTER (WHERE p.joined_at > minute.ago))::int AS joined_lately,
    (count(*) FILTER (WHERE p.admitted_at > minute.ago))::int AS admitted_lately,
    (count(*) FILTER (WHERE p.finished_at > minute.ago))::int AS finished_lately
FROM waiting_room AS w
JOIN place AS p USING (room_id),
LATERAL (SELECT statement_timestamp() - interval '1 minute' AS ago) AS minute
WHERE w.concert_id = :concert_id
GROUP BY 1, 2, 3, 4;

-- name: cap_of_line
-- The present cap of a concert's line; NULL where there is none.
SELECT coalesce(adaptive_cap, (policy ->> 'max_active')::int)
FROM waiting_room WHERE concert_id = :concert_id;

-- name: line_history
-- The events of a concert's line by kind and minute, from the beginning of a minute on; and the number of
-- waiting and of admitted places now, without a minute. If the concert exists, there is a row even
-- without events. All from one snapshot. Minutes are computed as integers, so that counting a long line is as
-- fast as for the statistics.
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
