-- Changes of seats, for processes that keep the seats of shows. Conventions as in
-- waiting_room/functions.sql. Nothing is locked: each answer also says which transactions were running.
--
-- Transactions commit in another order than that of their numbers (xids), so "all changes after the
-- newest known xid" would miss a transaction with a smaller xid that commits later. Each answer has the
-- newest xid that it has seen and the xids that were still running; the next call requests the changes
-- by later transactions, and by those.

-- Returns the changes of seats that the caller has not seen. p_newest[i] is the newest xid that it has seen
-- of show i, p_running[p_first[i] .. p_last[i]] are the older ones that were running then.
-- One row for each show, numbered by its position in the arrays: for each change of a seat the xid, the
-- number, the present state ('a': available or past its hold, 'h': held, 's': sold) and the end of a hold;
-- the running transactions; the name of the log (if it has changed, read all seats again); and the time.
-- All from one snapshot.
-- hot
CREATE OR REPLACE FUNCTION seat_changes(
    p_shows uuid[], p_newest bigint[], p_first int[], p_last int[], p_running bigint[]
)
RETURNS TABLE (
    item int, xids bigint[], numbers int[], states text, untils timestamptz[], running bigint[],
    log_id text, now timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH seen AS MATERIALIZED (
        SELECT pg_snapshot_xmax(pg_current_snapshot()) AS xmax, clock_timestamp() AS now,
            ARRAY(SELECT r::text::bigint FROM pg_snapshot_xip(pg_current_snapshot()) AS r) AS running,
            seat_log_name() AS log_id
    )
    SELECT k.item::int, c.xids, c.numbers, c.states, c.untils, seen.running, seen.log_id, seen.now
    FROM seen
    CROSS JOIN unnest(p_shows, p_newest, p_first, p_last)
        WITH ORDINALITY AS k (show_id, newest, first, last, item)
    CROSS JOIN LATERAL (
        SELECT array_agg(n.xid::text::bigint) AS xids, array_agg(n.number) AS numbers,
            string_agg(s.state, '') AS states, array_agg(s.held_until) AS untils
        FROM (
            SELECT c.xid, unnest(c.numbers) AS number FROM (
                -- A restored database may have xids that its server hasn't reached yet.
                SELECT c.xid, c.numbers FROM seat_change AS c
                WHERE c.show_id = k.show_id AND c.xid > k.newest::text::xid8 AND c.xid < seen.xmax
                UNION ALL
                SELECT c.xid, c.numbers FROM unnest(p_running[k.first:k.last]) AS r (xid)
                CROSS JOIN LATERAL (
                    SELECT c.xid, c.numbers FROM seat_change AS c
                    WHERE c.show_id = k.show_id AND c.xid = r.xid::text::xid8
                    OFFSET 0
                ) AS c
            ) AS c
        ) AS n
        CROSS JOIN LATERAL (
            SELECT seat_letter(s.held_until, seen.now) AS state,
                nullif(s.held_until, 'infinity') AS held_until
            FROM seat AS s WHERE s.show_id = k.show_id AND s.number = n.number
            OFFSET 0
        ) AS s
    ) AS c;
END $$;

-- Returns the name of the log on this server since its start; NULL while it has none. A dump carries the
-- log to a server whose transactions have other numbers.
CREATE OR REPLACE FUNCTION seat_log_name() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT substr(md5(l.log_id || extract(epoch FROM pg_postmaster_start_time())), 1, 8)
    FROM seat_change_log AS l WHERE l.only_row
$$;

-- Returns the state of a seat as one letter: available, held, sold.
CREATE OR REPLACE FUNCTION seat_letter(held_until timestamptz, now timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN held_until = 'infinity' THEN 's' WHEN held_until > now THEN 'h' ELSE 'a'
END;
