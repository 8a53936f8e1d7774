-- What is no longer kept of a line: a first part of its places, all of them long finished. Conventions as
-- in functions.sql. A finished place never changes again, so what could go once can go later.

-- The last number of the places that can go: all up to it were finished before p_before. What the line
-- has dropped already (pruned_to) where no more can. A drawn line goes as a whole, or not at all: as long
-- as one of its entrants is kept, its draw can be checked. One that has not opened may still be drawn.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_prunable(p_room_id int, p_before timestamptz)
RETURNS int LANGUAGE plpgsql VOLATILE SET enable_sort = off AS $$
DECLARE
    room waiting_room;
    last int;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
    IF coalesce(room.opens_at > clock_timestamp(), false)
        OR room.line_order = 'draw' AND room.entrants IS NULL
    THEN
        RETURN room.pruned_to;
    END IF;
    SELECT p.number - 1 INTO last FROM place AS p
    WHERE p.room_id = p_room_id AND p.number > room.pruned_to
        AND (p.state <> 'finished' OR p.finished_at >= p_before)
    ORDER BY p.number LIMIT 1;
    last := coalesce(last, room.issued);
    RETURN CASE WHEN last < room.entrants THEN room.pruned_to ELSE last END;
END $$;

-- Drops the next places of a line, up to p_limit, as far as they can go (waiting_room_prunable), with
-- what was written down of their calls. Whoever of them stood behind `serving` had left: the line goes
-- past them. Returns how many.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_prune(p_room_id int, p_before timestamptz, p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
    last int;
    people int;
    past int;
BEGIN
    -- Of a drawn line all entrants are looked at, the first time: before anything is locked.
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
    IF room.line_order = 'draw' AND room.pruned_to = 0 THEN
        last := waiting_room_prunable(p_room_id, p_before);
    END IF;
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    IF coalesce(room.opens_at > clock_timestamp(), false)
        OR room.line_order = 'draw' AND room.pruned_to = 0 AND last > 0 IS NOT TRUE
    THEN
        RETURN 0;
    END IF;
    SELECT coalesce(
        min(p.number) FILTER (WHERE p.state <> 'finished' OR p.finished_at >= p_before) - 1,
        max(p.number)
    )
    INTO last FROM place AS p
    WHERE p.room_id = p_room_id AND p.number > room.pruned_to
        AND p.number <= room.pruned_to + p_limit;
    IF last > room.pruned_to IS NOT TRUE THEN
        RETURN 0;
    END IF;
    PERFORM FROM place AS p
    WHERE p.room_id = p_room_id AND p.number > room.pruned_to AND p.number <= last
    ORDER BY p.number FOR UPDATE;

    WITH gone AS (
        DELETE FROM place AS p
        WHERE p.room_id = p_room_id AND p.number > room.pruned_to AND p.number <= last
        RETURNING p.admitted_at
    ),
    call AS MATERIALIZED (
        SELECT g.admitted_at, count(*) AS people FROM gone AS g
        WHERE g.admitted_at IS NOT NULL GROUP BY g.admitted_at
    ),
    all_gone AS (
        DELETE FROM admission AS a USING call AS c
        WHERE a.room_id = p_room_id AND a.admitted_at = c.admitted_at
            AND a.admitted = a.pruned + c.people
    ),
    some_gone AS (
        UPDATE admission AS a SET pruned = a.pruned + c.people FROM call AS c
        WHERE a.room_id = p_room_id AND a.admitted_at = c.admitted_at
            AND a.admitted > a.pruned + c.people
    )
    SELECT coalesce(sum(c.people), 0) INTO people FROM call AS c;

    past := greatest(last, room.entrants, room.serving);
    -- What came of these forecasts can't be told any more.
    DELETE FROM forecast AS f USING (
        SELECT f.sample FROM forecast AS f
        WHERE f.room_id = p_room_id AND f.position <= past AND f.waited_seconds IS NULL AND NOT f.gone
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE f.room_id = p_room_id AND f.sample = due.sample;
    UPDATE waiting_room AS r
    SET pruned_to = last, pruned_called = r.pruned_called + people, serving = past,
        left_passed = r.left_passed + past - r.serving
    WHERE r.room_id = p_room_id;
    RETURN last - room.pruned_to;
END $$;

-- Drops the outcome of a draw whose entrants are all gone: positions p_after + 1 to p_after + p_limit.
-- Returns whether there may be more.
CREATE OR REPLACE FUNCTION waiting_room_prune_drawn(p_room_id int, p_after int, p_limit int)
RETURNS boolean LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    room waiting_room;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
    IF room.pruned_to >= room.entrants IS NOT TRUE OR p_after >= room.entrants THEN
        RETURN false;
    END IF;
    DELETE FROM drawn AS d
    WHERE d.room_id = p_room_id AND d.position > p_after AND d.position <= p_after + p_limit;
    RETURN p_after + p_limit < room.entrants;
END $$;
