-- name: name_seat_log!
-- Names the log of changed seats, unless it has a name.
INSERT INTO seat_change_log (log_id)
SELECT substr(md5(random()::text || clock_timestamp()::text), 1, 8)
ON CONFLICT DO NOTHING;

-- name: seats_of_show
-- All seats of a show, whose changes are read from then on: see seat_changes. states: one letter for each
-- number from 1 on. held: seats with a hold that is active or has ended within :kept_seconds. changed: the
-- newest changes in the log, at most :most. All from one snapshot.
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
-- The changes of shows, and whether the places that read them may act: in one statement, because only admitted
-- places may read seats (waiting_room_enter, which claims places at their first call). Of the places, only
-- those that may not act are listed.
SELECT e.*, c.*
FROM (
    SELECT count(*)::int AS judged,
        array_agg(item) FILTER (WHERE outcome <> 'admitted') AS refused,
        array_agg(outcome) FILTER (WHERE outcome <> 'admitted') AS outcomes,
        array_agg(reason::text) FILTER (WHERE outcome <> 'admitted') AS reasons
    FROM waiting_room_enter(:room_id, :number, :place_id)
) AS e
LEFT JOIN seat_changes(:show_ids, :newest, :firsts, :lasts, :running) AS c ON true
ORDER BY c.item;

-- name: delete_seat_changes
-- Deletes the changes of seats that are older than :seconds; returns the number of rows.
WITH gone AS (
    DELETE FROM seat_change
    WHERE changed_at < clock_timestamp() - make_interval(secs => :seconds)
    RETURNING 1
)
SELECT count(*)::int FROM gone;
