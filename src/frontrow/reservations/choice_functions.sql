-- Which seats are the best (docs/design/adr/0012-best-seats.md). These functions propose; reservation_hold
-- decides.
--
-- A run is free seats side by side in one row. Seats have a rank within their section: rows from the
-- front on, and within a row by twice the distance from its middle. So a row of w seats has w ranks, two
-- seats (left and right) share one, and a run's rank is its inner end's, or 0 of its row where it spans
-- the middle. The best place in any other run is at its inner end: that leaves no lone seat inside, and
-- one outside only if the run is one seat longer than wanted.

-- The free runs of a section whose ranks are p_from .. p_until - 1, in order of rank. A run that is cut
-- off at the far end has more than p_margin seats beyond that rank. A run over the middle is followed by
-- an empty one: where its left part goes when its middle is taken.
-- hot
CREATE OR REPLACE FUNCTION reservation_free_runs(
    p_show_id uuid, p_first int, p_width int, p_from int, p_until int, p_margin int, p_now timestamptz,
    OUT firsts int[], OUT lasts int[], OUT ranks int[], OUT middles int[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    row_from int := p_first + p_from / p_width * p_width;
    row_until int := p_first + (p_until - 1) / p_width * p_width;
    -- One seat nearer to the middle than asked for tells a run that begins there from one that goes on.
    near int := greatest(p_from % p_width - 2, 0);
    far int := least((p_until - 1) % p_width + 2 * p_margin + 2, p_width - 1);
    left_end int := row_from + (p_width - 1 - near) / 2;
    right_start int := greatest(row_from + (p_width + near) / 2, left_end + 1);
BEGIN
    WITH part (low, high) AS (
        VALUES
            (CASE WHEN row_from = row_until THEN row_from + (p_width - 1 - far) / 2 ELSE row_from END,
                left_end),
            (right_start,
                CASE WHEN row_from = row_until THEN row_from + (p_width - 1 + far) / 2
                    ELSE row_until - 1 END),
            (CASE WHEN row_from = row_until THEN 1 ELSE row_until + (p_width - 1 - far) / 2 END,
                CASE WHEN row_from = row_until THEN 0 ELSE row_until + (p_width - 1 + far) / 2 END)
    ),
    free AS (
        SELECT s.number, (s.number - p_first) / p_width AS row,
            s.number - row_number() OVER (ORDER BY s.number) AS run
        FROM part AS p
        CROSS JOIN LATERAL (
            SELECT s.number FROM seat AS s
            WHERE s.show_id = p_show_id AND s.number BETWEEN p.low AND p.high
                AND (s.held_until IS NULL OR s.held_until <= p_now)
            OFFSET 0
        ) AS s
    ),
    run AS (
        SELECT min(f.number) AS first, max(f.number) AS last,
            2 * (p_first + f.row * p_width) + p_width - 1 AS middle
        FROM free AS f GROUP BY f.row, f.run
    ),
    ranked AS (
        SELECT r.*, (r.middle - p_width + 1) / 2 - p_first
            + greatest(0, 2 * r.first - r.middle, r.middle - 2 * r.last) AS rank
        FROM run AS r
    )
    SELECT coalesce(array_agg(r.first ORDER BY r.rank, r.first, part), '{}'),
        coalesce(
            array_agg(CASE part WHEN 1 THEN r.last ELSE r.first - 1 END ORDER BY r.rank, r.first, part),
            '{}'
        ),
        coalesce(array_agg(r.rank ORDER BY r.rank, r.first, part), '{}'),
        coalesce(array_agg(r.middle ORDER BY r.rank, r.first, part), '{}')
    INTO firsts, lasts, ranks, middles
    FROM ranked AS r
    CROSS JOIN LATERAL generate_series(
        1, CASE WHEN 2 * r.first <= r.middle AND r.middle <= 2 * r.last THEN 2 ELSE 1 END
    ) AS part
    WHERE r.rank >= p_from AND r.rank < p_until;
END $$;

-- Where in a run of seats that spans the middle of its row so many are best: the nearest to the middle
-- that leaves no lone seat, if any; else the nearest. middle: twice its number.
CREATE OR REPLACE FUNCTION reservation_best_start(p_first int, p_last int, p_middle int, p_count int)
RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    last_start int := p_last - p_count + 1;
    ideal int;
    best int;
BEGIN
    ideal := least(greatest((p_middle - p_count + 1) / 2, p_first), last_start);
    -- Two starts leave a lone seat: the second and the last but one.
    FOR start IN greatest(ideal - 1, p_first) .. least(ideal + 2, last_start) LOOP
        CONTINUE WHEN last_start - p_first > 1 AND start IN (p_first + 1, last_start - 1);
        IF best IS NULL
            OR abs(2 * start + p_count - 1 - p_middle) < abs(2 * best + p_count - 1 - p_middle)
        THEN
            best := start;
        END IF;
    END LOOP;
    RETURN best;
END $$;

-- By area, mode and count: the first of the area's sections.
CREATE OR REPLACE FUNCTION reservation_area_starts(p_area_from int[], p_each int)
RETURNS int[] LANGUAGE sql IMMUTABLE
RETURN ARRAY(
    SELECT a.first FROM unnest(p_area_from) WITH ORDINALITY AS a (first, area)
    CROSS JOIN generate_series(1, p_each) ORDER BY a.area
);

-- Chooses seats for items, one after the other; each sees what those before it took. The sections are
-- locked: nobody else chooses there. p_areas: of each item, which area it wants; area a is the sections
-- p_area_sections[p_area_from[a] .. p_area_to[a]], each an index into p_shows and p_ordinals.
-- Gives the chosen seats as pieces (of which item, from which number, how many), and for each item an
-- outcome: chosen; seats_unavailable (available: free in the area; together: the longest run);
-- again (what would have been left to it is not known: earlier items took seats, or the search began
-- where the hints said).
-- hot
CREATE OR REPLACE FUNCTION reservation_choose(
    p_areas int[], p_counts int[], p_together boolean[],
    p_area_from int[], p_area_to int[], p_area_sections int[], p_shows uuid[], p_ordinals int[],
    p_now timestamptz,
    OUT outcomes text[], OUT available int[], OUT together int[],
    OUT piece_items int[], OUT piece_firsts int[], OUT piece_counts int[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- The counts that are looked for, and by section, mode (0: no lone seat, 1: any) and count: how far
    -- the search is (the run that was passed last), and the rank before which there is nothing.
    counts int[] := ARRAY(
        SELECT DISTINCT c FROM unnest(p_counts, p_together) AS k (count, together)
        CROSS JOIN LATERAL (VALUES (k.count), (CASE WHEN k.together THEN k.count ELSE 1 END)) AS v (c)
        ORDER BY c
    );
    n int := cardinality(counts);
    margin int := (SELECT sum(c) FROM unnest(p_counts) AS c) + 2;
    passed int[] := array_fill(0, ARRAY[2 * n * cardinality(p_shows)]);
    hints int[];
    hinted int[];
    -- Where in its area the search is, by area, mode and count.
    at_section int[];
    -- By section: its seats, what is searched (from a rank on, up to a rank), its first and last run.
    firsts int[];
    widths int[];
    sizes int[];
    began int[];
    searched int[];
    chunks int[] := array_fill(0, ARRAY[cardinality(p_shows)]);
    heads int[] := array_fill(0, ARRAY[cardinality(p_shows)]);
    tails int[] := array_fill(0, ARRAY[cardinality(p_shows)]);
    -- The smallest rank at which something was taken; NULL: nothing. Whether the hints led nowhere.
    touched int[] := array_fill(NULL::int, ARRAY[cardinality(p_shows)]);
    misled boolean[] := array_fill(false, ARRAY[cardinality(p_shows)]);
    -- The runs of all sections: seats, rank when read, twice the row's middle, neighbours in the section.
    run_first int[] := '{}';
    run_last int[] := '{}';
    run_rank int[] := '{}';
    run_middle int[] := '{}';
    run_next int[] := '{}';
    run_before int[] := '{}';
    -- By area: what is free, how many seats in a row, and after how many pieces that was counted.
    free_seats int[] := array_fill(0, ARRAY[cardinality(p_area_from)]);
    free_run int[] := array_fill(0, ARRAY[cardinality(p_area_from)]);
    counted int[] := array_fill(-1, ARRAY[cardinality(p_area_from)]);
    more record;
    area int;
    want int;
    pieces int;
    x int;
    mode int;
    key int;
    j int;
    s int;
    run int;
    last_passed int;
    best int;
    best_rank int;
    rank int;
    length int;
    start int;
    known boolean;
    restarted boolean;
    taken boolean;
BEGIN
    piece_items := '{}';
    piece_firsts := '{}';
    piece_counts := '{}';
    outcomes := array_fill('chosen'::text, ARRAY[cardinality(p_areas)]);
    available := array_fill(NULL::int, ARRAY[cardinality(p_areas)]);
    together := available;
    SELECT array_agg(s.first_number ORDER BY k.i), array_agg(s.seats_per_row ORDER BY k.i),
        array_agg(s.last_number - s.first_number + 1 ORDER BY k.i)
    INTO firsts, widths, sizes
    FROM unnest(p_shows, p_ordinals) WITH ORDINALITY AS k (show_id, ordinal, i)
    CROSS JOIN LATERAL (
        SELECT s.first_number, s.last_number, s.seats_per_row FROM show_section AS s
        WHERE s.show_id = k.show_id AND s.ordinal = k.ordinal
        OFFSET 0
    ) AS s;
    hints := reservation_hints(p_shows, p_ordinals, counts, p_now);
    hinted := hints;
    at_section := reservation_area_starts(p_area_from, 2 * n);
    FOR s IN 1 .. cardinality(p_shows) LOOP
        began[s] := sizes[s];
        FOR x IN 1 .. n LOOP
            key := (s - 1) * 2 * n + x;
            began[s] := least(
                began[s], CASE WHEN hints[key] < sizes[s] THEN hints[key] ELSE hints[key + n] END
            );
        END LOOP;
    END LOOP;
    searched := began;

    FOR item IN 1 .. cardinality(p_areas) LOOP
        area := p_areas[item];
        want := p_counts[item];
        x := array_position(counts, want);
        pieces := 1;
        restarted := false;
        WHILE pieces > 0 LOOP
            best := 0;
            <<modes>>
            FOR mode_now IN 0 .. 1 LOOP
                mode := mode_now;
                j := at_section[((area - 1) * 2 + mode) * n + x];
                WHILE j <= p_area_to[area] LOOP
                    s := p_area_sections[j];
                    key := ((s - 1) * 2 + mode) * n + x;
                    IF hints[key] = sizes[s] THEN -- nothing there
                        j := j + 1;
                        at_section[((area - 1) * 2 + mode) * n + x] := j;
                        CONTINUE;
                    END IF;
                    -- Whether a run that leaves a lone seat lies before the search is not known.
                    EXIT modes WHEN mode = 1 AND began[s] > hints[key] AND began[s] < sizes[s];
                    last_passed := passed[key];
                    run := CASE last_passed WHEN 0 THEN heads[s] ELSE run_next[last_passed] END;
                    LOOP
                        IF run = 0 THEN
                            EXIT WHEN searched[s] >= sizes[s]
                                OR (best > 0 AND best_rank < searched[s]);
                            chunks[s] := greatest(2 * chunks[s], margin + 64);
                            SELECT * INTO more FROM reservation_free_runs(
                                p_shows[s], firsts[s], widths[s], searched[s],
                                least(searched[s] + chunks[s], sizes[s]), margin, p_now
                            );
                            searched[s] := least(searched[s] + chunks[s], sizes[s]);
                            CONTINUE WHEN more.firsts = '{}';
                            run := cardinality(run_first) + 1;
                            run_first := run_first || more.firsts;
                            run_last := run_last || more.lasts;
                            run_rank := run_rank || more.ranks;
                            run_middle := run_middle || more.middles;
                            run_before := run_before || tails[s]
                                || ARRAY(SELECT generate_series(run, cardinality(run_first) - 1));
                            run_next := run_next
                                || ARRAY(SELECT generate_series(run + 1, cardinality(run_first))) || 0;
                            IF tails[s] = 0 THEN
                                heads[s] := run;
                            ELSE
                                run_next[tails[s]] := run;
                            END IF;
                            tails[s] := cardinality(run_first);
                        END IF;
                        EXIT WHEN best > 0 AND run_rank[run] > best_rank;
                        length := run_last[run] - run_first[run] + 1;
                        IF length = want OR length > want + 1 OR (mode = 1 AND length > want) THEN
                            rank := (run_middle[run] - widths[s] + 1) / 2 - firsts[s] + greatest(
                                0, 2 * run_first[run] - run_middle[run],
                                run_middle[run] - 2 * run_last[run]
                            );
                            IF best = 0 OR rank < best_rank
                                OR (rank = best_rank AND run_first[run] < run_first[best])
                            THEN
                                best := run;
                                best_rank := rank;
                            END IF;
                        ELSIF best = 0 THEN
                            last_passed := run;
                        END IF;
                        run := run_next[run];
                    END LOOP;
                    passed[key] := last_passed;
                    EXIT modes WHEN best > 0;
                    IF mode = 0 AND began[s] <= hints[key + n] THEN
                        -- All of the section was seen, so also where a lone seat would be left.
                        run := heads[s];
                        WHILE run > 0 AND run_last[run] - run_first[run] + 1 < want LOOP
                            run := run_next[run];
                        END LOOP;
                        hints[key + n] := CASE run WHEN 0 THEN sizes[s] ELSE run_rank[run] END;
                    END IF;
                    hints[key] := sizes[s];
                    j := j + 1;
                    at_section[((area - 1) * 2 + mode) * n + x] := j;
                END LOOP;
            END LOOP;

            IF best > 0 THEN
                start := CASE
                    WHEN 2 * run_first[best] > run_middle[best] THEN run_first[best]
                    WHEN 2 * run_last[best] < run_middle[best] THEN run_last[best] - want + 1
                    ELSE reservation_best_start(
                        run_first[best], run_last[best], run_middle[best], want
                    )
                END;
                piece_items := piece_items || item;
                piece_firsts := piece_firsts || start;
                piece_counts := piece_counts || want;
                pieces := pieces - 1;
                IF start = run_first[best] THEN
                    run_first[best] := start + want;
                ELSE
                    IF start + want <= run_last[best] THEN
                        -- Only the middle of a row is taken from within, and once only.
                        run_first[best + 1] := run_first[best];
                        run_last[best + 1] := start - 1;
                        run_first[best] := start + want;
                    ELSE
                        run_last[best] := start - 1;
                    END IF;
                END IF;
                touched[s] := least(touched[s], best_rank);
                hints[key] := best_rank;
                -- A shorter run may be just right for another count.
                IF n > 1 OR mode = 1 THEN
                    FOR y IN 1 .. n LOOP
                        CONTINUE WHEN y = x AND mode = 0;
                        key := (s - 1) * 2 * n + y;
                        IF hints[key] > best_rank THEN
                            IF hints[key] = sizes[s] THEN
                                at_section := reservation_area_starts(p_area_from, 2 * n);
                            END IF;
                            hints[key] := best_rank;
                        END IF;
                        IF passed[key] >= best THEN
                            passed[key] := run_before[best];
                        END IF;
                    END LOOP;
                END IF;
                CONTINUE;
            END IF;

            -- Nothing was found. That is an answer if all of the area was searched, as it is in the
            -- database. What the hints skipped is searched now, unless the search began in its middle.
            known := true;
            taken := false;
            FOR j IN p_area_from[area] .. p_area_to[area] LOOP
                s := p_area_sections[j];
                taken := taken OR touched[s] IS NOT NULL;
                IF began[s] = 0 AND searched[s] = sizes[s] THEN
                    NULL;
                ELSIF began[s] BETWEEN 1 AND sizes[s] - 1 THEN
                    known := false;
                    misled[s] := true;
                ELSIF NOT restarted THEN
                    searched[s] := CASE began[s] WHEN 0 THEN searched[s] ELSE 0 END;
                    began[s] := 0;
                    hints[(s - 1) * 2 * n + 1 : s * 2 * n] := array_fill(0, ARRAY[2 * n]);
                END IF;
            END LOOP;
            IF NOT known THEN
                outcomes[item] := 'again';
                EXIT;
            ELSIF NOT restarted THEN
                restarted := true;
                at_section := reservation_area_starts(p_area_from, 2 * n);
                CONTINUE;
            END IF;
            IF counted[area] < cardinality(piece_items) THEN
                free_seats[area] := 0;
                free_run[area] := 0;
                FOR j IN p_area_from[area] .. p_area_to[area] LOOP
                    run := heads[p_area_sections[j]];
                    WHILE run > 0 LOOP
                        length := run_last[run] - run_first[run] + 1;
                        free_seats[area] := free_seats[area] + length;
                        free_run[area] := greatest(free_run[area], length);
                        run := run_next[run];
                    END LOOP;
                END LOOP;
                counted[area] := cardinality(piece_items);
            END IF;
            IF NOT p_together[item] AND want > 1 AND free_seats[area] >= want THEN
                pieces := want;
                want := 1;
                x := 1;
            ELSIF taken THEN
                outcomes[item] := 'again';
                EXIT;
            ELSE
                outcomes[item] := 'seats_unavailable';
                available[item] := free_seats[area];
                together[item] := free_run[area];
                EXIT;
            END IF;
        END LOOP;
    END LOOP;
    IF hints <> hinted OR true = ANY (misled) THEN
        PERFORM reservation_keep_hints(
            p_shows, p_ordinals, counts, hinted, hints, touched, misled, p_now
        );
    END IF;
END $$;
