-- name: observe$
-- Looks at a line, and records forecasts: see the function.
SELECT waiting_room_observe(:room_id, :positions, :p50s, :p90s, :keep);

-- name: forecast_quality^
-- What came of a line's forecasts: how many are judged, which share of the waits fell below p50 and
-- below p90, and how far from p50 they fell, at the median.
SELECT count(*)::int AS judged,
    avg((f.waited_seconds <= f.p50_seconds)::int)::float8 AS below_p50,
    avg((f.waited_seconds <= f.p90_seconds)::int)::float8 AS below_p90,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(f.waited_seconds - f.p50_seconds))
        AS median_error_seconds
FROM waiting_room AS w JOIN forecast AS f USING (room_id)
WHERE w.concert_id = :concert_id AND f.waited_seconds IS NOT NULL;
