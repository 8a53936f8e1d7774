-- Following the seats of shows. Conventions as in waiting_room/functions.sql; nothing is locked here:
-- what a statement sees is told together with what it doesn't see yet.
--
-- Transactions commit in another order than that of their numbers (xids). So "all behind the newest
-- that I know" would miss whoever had taken a smaller number and committed later. Each answer names
-- the newest change that it has seen and which transactions were still running; the next question
-- asks for what is behind that newest one, or by one of those.

-- The seats of shows that were changed by what the asker hasn't seen: p_newest[i] is the newest xid
-- seen of show i, p_running[p_first[i] .. p_last[i]] are the older ones that were running then.
-- Answers each show, numbered by its place in the arrays: one xid, number, state ('a': nobody's or past
-- its time, 'h', 's') and, of held ones, end for each change of a seat, the state being that of now;
-- the transactions that run now; the log's name (another one than before: begin anew); and the time.
-- All of it is of one moment.
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
                -- A restored database may hold numbers that its server hasn't reached yet.
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

-- The name of the log on this server, since its start: none while nobody has given it one. A dump takes
-- the log along to a server whose transactions have other numbers.
CREATE OR REPLACE FUNCTION seat_log_name() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT substr(md5(l.log_id || extract(epoch FROM pg_postmaster_start_time())), 1, 8)
    FROM seat_change_log AS l WHERE l.only_row
$$;

-- The state of a seat, as one letter: available, held, sold.
CREATE OR REPLACE FUNCTION seat_letter(held_until timestamptz, now timestamptz)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN held_until = 'infinity' THEN 's' WHEN held_until > now THEN 'h' ELSE 'a'
END;
