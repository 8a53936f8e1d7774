-- name: lines
-- Every line: the data with which a process answers waiting users.
SELECT w.room_id, w.concert_id, w.policy::text, w.policy_version, w.claim_seconds, w.opens_at,
    w.closes_at, w.paused, w.issued, w.serving, w.called, w.left_count, w.entrants,
    w.pruned_to, w.adaptive_cap, w.line_order,
    coalesce(w.opens_at > now, false) OR o.undrawn AS scheduled,
    o.undrawn AND w.opens_at <= now AS draw_due,
    coalesce(w.closes_at <= now, false) AS closed, now AS seen_at,
    p.finish_hazard, p.finish_spread, p.leave_hazard, p.leave_spread,
    p.called AS called_then, p.active AS active_then
FROM clock_timestamp() AS now, waiting_room AS w
CROSS JOIN LATERAL (SELECT w.line_order = 'draw' AND w.entrants IS NULL AS undrawn) AS o
LEFT JOIN line_pace AS p USING (room_id);

-- name: left_between
-- The numbers of the places behind :behind that left while waiting, in order of leaving: 4 bytes each, in
-- network order.
SELECT string_agg(int4send(number), ''::bytea ORDER BY left_seq) FROM place
WHERE room_id = :room_id AND left_seq > :after AND left_seq <= :until AND number > :behind;

-- name: positions
-- The positions of a drawn line's numbers from 1 on: 4 bytes each, in network order.
SELECT string_agg(int4send(position), ''::bytea ORDER BY number) FROM drawn WHERE room_id = :room_id;

-- name: stock_of_concerts
-- Seats by concert: the total; of the shows on sale, the free seats; the held seats; and whether a show is
-- on sale. No seat is read: payments count the sold seats, and active holds list the held ones.
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

-- name: recently_admitted
-- How many places each line admitted within the last minute.
SELECT w.room_id, a.admitted
FROM waiting_room AS w
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.admitted), 0)::int AS admitted FROM admission AS a
    WHERE a.room_id = w.room_id AND a.admitted_at > clock_timestamp() - interval '1 minute'
) AS a;
