-- name: observe
-- Observes a line, and stores the forecasts that places get now: see the function.
SELECT waiting_room_observe(
    p_positions => :position, p_p50s => :p50, p_p90s => :p90, p_room_id => :room_id, p_keep => :keep
);

-- name: forecast_quality
-- The quality of a line's forecasts: the number judged, the shares of the waits up to p50 and up to p90,
-- and the median difference from p50.
SELECT count(*)::int AS judged,
    avg((f.waited_seconds <= f.p50_seconds)::int)::float8 AS below_p50,
    avg((f.waited_seconds <= f.p90_seconds)::int)::float8 AS below_p90,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(f.waited_seconds - f.p50_seconds))
        AS median_error_seconds
FROM waiting_room AS w JOIN forecast AS f USING (room_id)
WHERE w.concert_id = :concert_id AND f.waited_seconds IS NOT NULL;
