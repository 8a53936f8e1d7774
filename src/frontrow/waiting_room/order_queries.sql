-- name: let_reader_be_slow^
-- For this transaction: how long (milliseconds) it may wait for its reader. And its cursor is planned
-- for all of its rows, not for the first few; never as a loop over drawn for each place, which a drawn
-- line whose statistics are old would be (drawn has no index by number).
SELECT set_config('idle_in_transaction_session_timeout', :limit_ms, true),
    set_config('cursor_tuple_fraction', '1', true), set_config('enable_nestloop', 'off', true);

-- name: line_to_read^
-- A concert's line, and when it was read. drawing: it will be drawn, so that nobody has a position yet.
SELECT room_id, coalesce(entrants, 0) AS entrants,
    line_order = 'draw' AND entrants IS NULL AS drawing, clock_timestamp() AS now
FROM waiting_room WHERE concert_id = :concert_id;

-- name: open_order!
-- Opens the cursor that next_places reads: a line's places by number, each as a JSON object or as a
-- line of CSV. The texts are made here, since that costs the process a third of what rows would. The
-- values are numbers, times and words of ours: nothing in them needs quotes in a record's text, which
-- so is CSV between its parentheses (RFC 4180).
DECLARE line_order NO SCROLL CURSOR FOR
SELECT CASE
    WHEN :csv::boolean THEN btrim(told::text, '()') || E'\r\n'
    ELSE row_to_json(told)::text
END
FROM (
    SELECT p.number,
        CASE
            WHEN :drawing::boolean THEN NULL
            WHEN p.number <= :entrants THEN d.position
            ELSE p.number
        END AS position,
        CASE WHEN o.overdue THEN 'finished' ELSE p.state END AS state,
        waiting_room_reason(p.state, p.reason, p.expires_at, :now) AS reason,
        replace(to_char(p.joined_at, f.rfc3339), '.000000', '') AS joined_at,
        replace(to_char(p.admitted_at, f.rfc3339), '.000000', '') AS admitted_at,
        replace(
            to_char(CASE WHEN o.overdue THEN p.expires_at ELSE p.finished_at END, f.rfc3339),
            '.000000', ''
        ) AS finished_at
    FROM place AS p
    LEFT JOIN drawn AS d ON d.room_id = :room_id AND d.number = p.number
    CROSS JOIN LATERAL (
        SELECT p.state = 'admitted' AND p.expires_at <= :now::timestamptz AS overdue
    ) AS o
    CROSS JOIN (VALUES ('YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS f (rfc3339)
    WHERE p.room_id = :room_id
    ORDER BY p.number
) AS told;

-- name: next_places
-- The next places of that cursor.
FETCH 5000 FROM line_order -- the rows of its SELECT
;
