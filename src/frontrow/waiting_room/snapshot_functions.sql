-- What has changed in the lines since a process last read them. Conventions as in functions.sql.
--
-- Transactions don't commit in the order of their numbers. So each read returns a mark, the oldest transaction that
-- may still have been running, and the next read finds what this transaction or a later one has written: at
-- least all that the previous read couldn't see. A restored database may have transaction numbers that its server
-- hasn't reached yet: they are ignored.

-- Returns the rooms whose rows may have changed since the read that returned p_mark, or whose opening or closing
-- was between p_seen_at and p_now. No rooms if both are NULL.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_changes(
    p_mark bigint, p_seen_at timestamptz, p_now timestamptz
)
RETURNS SETOF int LANGUAGE plpgsql STABLE AS $$
DECLARE
    mark CONSTANT xid8 := p_mark::text::xid8;
    oldest CONSTANT int := age(mark::xid);
BEGIN
    RETURN QUERY
    SELECT w.room_id FROM waiting_room AS w
    WHERE w.changed_in >= mark AND w.changed_in < pg_snapshot_xmax(pg_current_snapshot())
    UNION
    SELECT w.room_id FROM waiting_room AS w
    WHERE w.has_waiting AND (
        age(w.xmin) <= oldest
        OR (SELECT age(p.xmin) <= oldest FROM line_pace AS p WHERE p.room_id = w.room_id)
    )
    UNION
    -- In both directions: the clock may have been set back.
    SELECT w.room_id FROM waiting_room AS w
    WHERE w.opens_at > least(p_seen_at, p_now) AND w.opens_at <= greatest(p_seen_at, p_now)
        AND p_seen_at IS NOT NULL
    UNION
    SELECT w.room_id FROM waiting_room AS w
    WHERE w.closes_at > least(p_seen_at, p_now) AND w.closes_at <= greatest(p_seen_at, p_now)
        AND p_seen_at IS NOT NULL;
END $$;

-- Returns lines with their paces: those that may have changed (waiting_room_changes), those of p_rooms, and the next
-- p_further rooms behind p_after.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_lines(
    p_mark bigint, p_seen_at timestamptz, p_now timestamptz, p_rooms int[], p_after int, p_further int
)
RETURNS TABLE (line waiting_room, pace line_pace) LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
    SELECT w.line, p.pace
    FROM (
        SELECT c FROM waiting_room_changes(p_mark, p_seen_at, p_now) AS c
        UNION
        SELECT r FROM unnest(p_rooms) AS r
        UNION
        (
            SELECT w.room_id FROM waiting_room AS w WHERE w.room_id > p_after
            ORDER BY w.room_id LIMIT p_further
        )
    ) AS k (room_id)
    CROSS JOIN LATERAL (
        SELECT w AS line FROM waiting_room AS w WHERE w.room_id = k.room_id OFFSET 0
    ) AS w
    LEFT JOIN LATERAL (
        SELECT p AS pace FROM line_pace AS p WHERE p.room_id = k.room_id OFFSET 0
    ) AS p ON true;
END $$;

-- Returns the shows whose seats may have been counted differently since the read that returned p_mark, and those of which
-- the sale ended between p_seen_at and p_now; without active holds and unfolded sales, which concert_stock counts.
-- hot
CREATE OR REPLACE FUNCTION show_changes(p_mark bigint, p_seen_at timestamptz, p_now timestamptz)
RETURNS SETOF uuid LANGUAGE plpgsql STABLE AS $$
DECLARE
    mark CONSTANT xid8 := p_mark::text::xid8;
    following CONSTANT xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
    RETURN QUERY
    SELECT s.show_id FROM show AS s WHERE s.changed_in >= mark AND s.changed_in < following
    UNION
    SELECT s.show_id FROM stock AS s WHERE s.changed_in >= mark AND s.changed_in < following
    UNION
    SELECT s.show_id FROM show AS s
    WHERE s.sales_end_at > least(p_seen_at, p_now) AND s.sales_end_at <= greatest(p_seen_at, p_now)
        AND p_seen_at IS NOT NULL;
END $$;

-- Counts the seats of concerts: those of p_concerts, those of changed shows (show_changes), and those with holds that
-- are not swept yet or with sales that are not folded in yet. total: all seats; available: the free seats of the
-- shows on sale; sale: whether a show is on sale. No seat is read: payments count the sold ones, and active holds list
-- the held ones.
-- hot
CREATE OR REPLACE FUNCTION concert_stock(
    p_mark bigint, p_seen_at timestamptz, p_now timestamptz, p_concerts uuid[]
)
RETURNS TABLE (concert_id uuid, total int, available int, held int, sale text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH moving AS MATERIALIZED (
        SELECT k.show_id, sum(k.held) AS held, sum(k.sold) AS sold FROM (
            SELECT r.show_id, CASE WHEN r.held_until > p_now THEN cardinality(r.seats) END AS held,
                0 AS sold
            FROM reservation AS r WHERE r.state = 'held'
            UNION ALL
            SELECT d.show_id, 0, d.seats FROM sold_delta AS d
            UNION ALL
            SELECT c, 0, 0 FROM show_changes(p_mark, p_seen_at, p_now) AS c
        ) AS k
        GROUP BY k.show_id
    ),
    concerned AS MATERIALIZED (
        SELECT s.concert_id FROM moving AS m CROSS JOIN LATERAL (
            SELECT s.concert_id FROM show AS s WHERE s.show_id = m.show_id OFFSET 0
        ) AS s
        UNION
        SELECT c FROM unnest(p_concerts) AS c
    )
    SELECT s.concert_id, sum(s.seats_total)::int,
        coalesce(sum(s.seats_total - t.sold - k.sold - k.held) FILTER (WHERE s.sales_end_at > p_now), 0)::int,
        sum(k.held)::int, max(show_sale(s.sales_end_at, s.cancelled_at, p_now))
    FROM (
        SELECT k.show_id, coalesce(sum(k.held), 0) AS held, coalesce(sum(k.sold), 0) AS sold FROM (
            SELECT m.show_id, m.held, m.sold FROM moving AS m
            UNION ALL
            SELECT s.show_id, 0, 0 FROM concerned AS c CROSS JOIN LATERAL (
                SELECT s.show_id FROM show AS s WHERE s.concert_id = c.concert_id OFFSET 0
            ) AS s
        ) AS k
        GROUP BY k.show_id
    ) AS k
    CROSS JOIN LATERAL (SELECT s.* FROM show AS s WHERE s.show_id = k.show_id OFFSET 0) AS s
    CROSS JOIN LATERAL (SELECT t.sold FROM stock AS t WHERE t.show_id = k.show_id OFFSET 0) AS t
    GROUP BY s.concert_id;
END $$;

-- Counts the admitted places of each line that has some, and those of them that are overdue.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_admitted()
RETURNS TABLE (room_id int, active int, overdue int) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    now CONSTANT timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    SELECT p.room_id, count(*)::int, (count(*) FILTER (WHERE p.expires_at <= now))::int
    FROM place AS p WHERE p.state = 'admitted'
    GROUP BY p.room_id;
END $$;
