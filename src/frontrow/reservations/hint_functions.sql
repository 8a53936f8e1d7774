-- Where the choice of the best seats begins to look (reservation_choose). A hint says that before a rank
-- there was no place for so many seats: none that leaves no lone seat (best_from), none at all
-- (any_from). Read and written under the lock of the section.

-- The hints of sections, by section, mode and count, where they are young enough to go by: seats that
-- were let go since are overlooked. 0: search from the front.
-- hot
CREATE OR REPLACE FUNCTION reservation_hints(
    p_shows uuid[], p_ordinals int[], p_counts int[], p_now timestamptz
)
RETURNS int[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (
        SELECT array_agg(
            coalesce(CASE mode WHEN 0 THEN h.best_from ELSE h.any_from END, 0) ORDER BY h.i, mode, h.x
        )
        FROM (
            SELECT k.i, c.x, h.best_from, h.any_from
            FROM unnest(p_shows, p_ordinals) WITH ORDINALITY AS k (show_id, ordinal, i)
            CROSS JOIN unnest(p_counts) WITH ORDINALITY AS c (count, x)
            LEFT JOIN LATERAL (
                SELECT h.best_from, h.any_from FROM section_search AS h
                WHERE h.show_id = k.show_id AND h.ordinal = k.ordinal AND h.count = c.count
                    AND h.searched_at > p_now - interval '1 second'
                OFFSET 0
            ) AS h ON true
            OFFSET 0
        ) AS h
        CROSS JOIN generate_series(0, 1) AS mode
    );
END $$;

-- Writes down the hints that have changed, and for other counts that a run has become shorter. Where
-- they misled a search, the next one goes without.
-- hot
CREATE OR REPLACE FUNCTION reservation_keep_hints(
    p_shows uuid[], p_ordinals int[], p_counts int[], p_before int[], p_after int[], p_touched int[],
    p_misled boolean[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n int := cardinality(p_counts);
BEGIN
    INSERT INTO section_search AS h (show_id, ordinal, count, best_from, any_from, searched_at)
    SELECT k.show_id, k.ordinal, c.count, p_after[at], p_after[at + n], p_now
    FROM unnest(p_shows, p_ordinals) WITH ORDINALITY AS k (show_id, ordinal, i)
    CROSS JOIN unnest(p_counts) WITH ORDINALITY AS c (count, x)
    CROSS JOIN LATERAL (VALUES ((k.i - 1)::int * 2 * n + c.x::int)) AS v (at)
    WHERE p_after[at] <> p_before[at] OR p_after[at + n] <> p_before[at + n]
    ORDER BY k.show_id, k.ordinal, c.count
    ON CONFLICT (show_id, ordinal, count) DO UPDATE
    SET best_from = excluded.best_from, any_from = excluded.any_from,
        searched_at = CASE WHEN h.searched_at > p_now - interval '1 second' THEN h.searched_at
            ELSE p_now END;
    UPDATE section_search AS h
    SET best_from = least(h.best_from, k.touched),
        searched_at = CASE WHEN k.misled THEN '-infinity' ELSE h.searched_at END
    FROM (
        SELECT * FROM unnest(p_shows, p_ordinals, p_touched, p_misled)
            AS k (show_id, ordinal, touched, misled)
        WHERE k.touched IS NOT NULL OR k.misled
    ) AS k
    CROSS JOIN LATERAL (
        SELECT h.ctid AS at FROM section_search AS h
        WHERE h.show_id = k.show_id AND h.ordinal = k.ordinal
            AND (k.misled OR (h.best_from > k.touched AND h.count <> ALL (p_counts)))
        OFFSET 0
    ) AS l
    WHERE h.ctid = l.at;
END $$;
