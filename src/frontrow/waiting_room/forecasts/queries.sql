-- name: lines_to_observe
-- Of these lines, those that were not observed within the last second, the longest ago first: at most :least, or a
-- fourteenth of them if that is more.
SELECT r.room_id
FROM unnest(:rooms::int[]) AS r (room_id)
LEFT JOIN LATERAL (
    SELECT p.looked_at FROM line_pace AS p WHERE p.room_id = r.room_id OFFSET 0
) AS p ON true
WHERE coalesce(p.looked_at <= clock_timestamp() - interval '1 second', true)
ORDER BY p.looked_at NULLS FIRST
LIMIT greatest(:least::int, cardinality(:rooms::int[]) / 14);

-- name: observe
-- Observes lines, and stores the forecasts that places get now; returns the observed ones: see the function.
SELECT r.room_id
FROM (
    SELECT k.room_id, array_agg(k.position) AS positions, array_agg(k.p50) AS p50s, array_agg(k.p90) AS p90s
    FROM unnest(:room_id::int[], :position::int[], :p50::int[], :p90::int[])
        AS k (room_id, position, p50, p90)
    GROUP BY k.room_id
) AS f
RIGHT JOIN unnest(:rooms::int[]) AS r (room_id) ON r.room_id = f.room_id
WHERE waiting_room_observe(
    p_room_id => r.room_id, p_positions => f.positions, p_p50s => f.p50s, p_p90s => f.p90s,
    p_keep => :keep
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
