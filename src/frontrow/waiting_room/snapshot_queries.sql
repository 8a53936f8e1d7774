-- name: lines
-- The data with which a process answers waiting users, of the lines that changed and of others: see
-- waiting_room_lines. mark and seen_at: for the next read. origin: differs after a failover or a restore.
SELECT (l.line).room_id, (l.line).concert_id, (l.line).policy::text, (l.line).policy_version,
    (l.line).claim_seconds, (l.line).opens_at, (l.line).closes_at, (l.line).paused, (l.line).issued,
    (l.line).serving, (l.line).called, (l.line).left_count, (l.line).entrants, (l.line).pruned_to,
    (l.line).adaptive_cap, (l.line).line_order,
    coalesce((l.line).opens_at > look.now, false) OR o.undrawn AS scheduled,
    o.undrawn AND (l.line).opens_at <= look.now AS draw_due,
    coalesce((l.line).closes_at <= look.now, false) AS closed, look.now AS seen_at,
    (l.pace).finish_hazard, (l.pace).finish_spread, (l.pace).leave_hazard, (l.pace).leave_spread,
    (l.pace).called AS called_then, (l.pace).active AS active_then, look.mark, look.origin
FROM (
    SELECT clock_timestamp() AS now, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS mark,
        concat(pg_postmaster_start_time(), ' ', 'waiting_room'::regclass::oid) AS origin
) AS look
CROSS JOIN LATERAL waiting_room_lines(:mark, :seen_at, look.now, :rooms, :after, :further) AS l
CROSS JOIN LATERAL (
    SELECT (l.line).line_order = 'draw' AND (l.line).entrants IS NULL AS undrawn
) AS o;

-- name: left_between
-- By room, the numbers of the places behind :behind that left while waiting, with a left_seq above :after up to
-- :until, in order of leaving: 4 bytes each, in network order.
SELECT k.room_id, l.numbers
FROM unnest(:room_id::int[], :after::int[], :until::int[], :behind::int[])
    AS k (room_id, after, until, behind)
CROSS JOIN LATERAL (
    SELECT string_agg(int4send(p.number), ''::bytea ORDER BY p.left_seq) AS numbers
    FROM place AS p
    WHERE p.room_id = k.room_id AND p.left_seq > k.after AND p.left_seq <= k.until
        AND p.number > k.behind
) AS l;

-- name: positions
-- The positions of a drawn line's numbers from 1 on: 4 bytes each, in network order.
SELECT string_agg(int4send(position), ''::bytea ORDER BY number) FROM drawn WHERE room_id = :room_id;

-- name: concert_stock
-- The seats of the concerts of which they may have changed, and of others: see the function. mark and seen_at: for
-- the next read.
SELECT s.concert_id, s.total, s.available, s.held, s.sale, look.mark, look.now AS seen_at
FROM (
    SELECT clock_timestamp() AS now, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS mark
) AS look
CROSS JOIN LATERAL concert_stock(:mark, :seen_at, look.now, :concert_ids) AS s;

-- name: recently_admitted
-- How many places each of these lines admitted within the last minute.
SELECT k.room_id, a.admitted
FROM unnest(:rooms::int[]) AS k (room_id)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(a.admitted), 0)::int AS admitted FROM admission AS a
    WHERE a.room_id = k.room_id AND a.admitted_at > clock_timestamp() - interval '1 minute'
) AS a;

-- name: admitted_places
-- The lines with admitted places: see the function.
SELECT room_id, active, overdue FROM waiting_room_admitted();
