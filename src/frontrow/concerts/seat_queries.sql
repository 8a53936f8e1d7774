-- name: name_seat_log!
-- Gives the log of changed seats a name, unless it has one.
INSERT INTO seat_change_log (log_id)
SELECT substr(md5(random()::text || clock_timestamp()::text), 1, 8)
ON CONFLICT DO NOTHING;

-- name: seats_of_show^
-- All seats of a show, to be followed from then on: see seat_changes. states: one letter for each
-- number from 1 on. held: those whose hold still runs or ended within so many seconds. changes: the
-- newest that are logged, at most so many. All of it is of one moment.
SELECT s.states, h.numbers AS held, h.untils, c.xids, c.numbers AS changed,
    ARRAY(SELECT r::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS r) AS running,
    seat_log_name() AS log_id, now
FROM clock_timestamp() AS now
CROSS JOIN LATERAL (
    SELECT string_agg(seat_letter(held_until, now), '' ORDER BY number) AS states
    FROM seat WHERE show_id = :show_id
) AS s
CROSS JOIN LATERAL (
    SELECT array_agg(number) AS numbers, array_agg(held_until) AS untils
    FROM seat
    WHERE show_id = :show_id AND held_until > now - make_interval(secs => :kept_seconds)
        AND held_until < 'infinity'
) AS h
CROSS JOIN LATERAL (
    SELECT array_agg(l.xid::text::bigint) AS xids, array_agg(l.number) AS numbers
    FROM (
        SELECT xid, unnest(numbers) AS number FROM seat_change
        WHERE show_id = :show_id AND xid < pg_snapshot_xmax(pg_current_snapshot())
        ORDER BY xid DESC LIMIT :most
    ) AS l
) AS c;

-- name: sections_of_show
-- The sections of a show, by number.
SELECT name, price, first_number, last_number, seats_per_row FROM show_section
WHERE show_id = :show_id ORDER BY ordinal;

-- name: follow_seats
-- What has changed of shows that are followed, and whether those who ask may act: both in one go, for
-- the seats are asked for by calls of admitted places only (waiting_room_enter; claims those that act
-- for the first time). Of the places, only those who may not act are told one by one.
SELECT e.*, c.*
FROM (
    SELECT count(*)::int AS judged,
        array_agg(item) FILTER (WHERE outcome <> 'admitted') AS refused,
        array_agg(outcome) FILTER (WHERE outcome <> 'admitted') AS outcomes,
        array_agg(reason::text) FILTER (WHERE outcome <> 'admitted') AS reasons
    FROM waiting_room_enter(:room_ids, :numbers, :place_ids)
) AS e
LEFT JOIN seat_changes(:show_ids, :newest, :firsts, :lasts, :running) AS c ON true
ORDER BY c.item;

-- name: forget_seat_changes$
-- Forgets the changes of seats that are older than so many seconds. Gives how many rows.
WITH gone AS (
    DELETE FROM seat_change
    WHERE changed_at < clock_timestamp() - make_interval(secs => :seconds)
    RETURNING 1
)
SELECT count(*)::int FROM gone;
