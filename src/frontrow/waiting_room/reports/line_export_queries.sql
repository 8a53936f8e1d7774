-- name: allow_slow_reader!
-- For this transaction: how long (milliseconds) it may wait for the reader of a page. Disables nested loops:
-- with outdated statistics the planner would scan drawn once for each place (drawn has no index by number).
SELECT set_config('idle_in_transaction_session_timeout', :limit_ms, true),
    set_config('enable_nestloop', 'off', true);

-- name: line_to_export
-- A concert's line, and the time. drawing: it will be drawn, so no place has a position yet.
SELECT room_id, coalesce(entrants, 0) AS entrants,
    line_order = 'draw' AND entrants IS NULL AS drawing, clock_timestamp() AS now
FROM waiting_room WHERE concert_id = :concert_id;

-- name: places
-- A line's places by number, each as a JSON object or as a line of CSV. The database writes the texts,
-- because building them from rows costs the process three times as much. The values are numbers, times and enum
-- labels, which need no quotes in a record's text, so that the part between its parentheses is CSV
-- (RFC 4180).
SELECT CASE
    WHEN :csv::boolean THEN btrim(exported::text, '()') || E'\r\n'
    ELSE row_to_json(exported)::text
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
) AS exported;
