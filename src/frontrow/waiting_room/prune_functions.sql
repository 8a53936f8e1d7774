-- Pruning: deletes the oldest places of a line, once all of them have been finished for long.
-- Conventions as in functions.sql. A finished place never changes, so what can be deleted stays so.

-- Returns the last number of the places that can be deleted: all up to it were finished before p_before.
-- Returns pruned_to, up to which they are deleted already, if there are no more. The entrants of a draw
-- are deleted together: as long as one of them is kept, the draw can be verified. A line that has not
-- opened may still be drawn.
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

-- Step of waiting_room_prune: deletes the places with the numbers p_first to p_last, and the admissions of
-- which no place is left. Returns the number of deleted places that had been admitted.
CREATE OR REPLACE FUNCTION waiting_room_delete_places(p_room_id int, p_first int, p_last int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    admitted int;
BEGIN
    PERFORM FROM place AS p
    WHERE p.room_id = p_room_id AND p.number >= p_first AND p.number <= p_last
    ORDER BY p.number FOR UPDATE;
    WITH gone AS (
        DELETE FROM place AS p
        WHERE p.room_id = p_room_id AND p.number >= p_first AND p.number <= p_last
        RETURNING p.admitted_at
    ),
    call AS MATERIALIZED (
        SELECT g.admitted_at, count(*) AS places FROM gone AS g
        WHERE g.admitted_at IS NOT NULL GROUP BY g.admitted_at
    ),
    all_gone AS (
        DELETE FROM admission AS a USING call AS c
        WHERE a.room_id = p_room_id AND a.admitted_at = c.admitted_at
            AND a.admitted = a.pruned + c.places
    ),
    some_gone AS (
        UPDATE admission AS a SET pruned = a.pruned + c.places FROM call AS c
        WHERE a.room_id = p_room_id AND a.admitted_at = c.admitted_at
            AND a.admitted > a.pruned + c.places
    )
    SELECT coalesce(sum(c.places), 0) INTO admitted FROM call AS c;
    RETURN admitted;
END $$;

-- Step of waiting_room_prune: deletes the forecasts up to p_position that can't be judged any more.
CREATE OR REPLACE FUNCTION waiting_room_delete_forecasts(p_room_id int, p_position int)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    DELETE FROM forecast AS f USING (
        SELECT f.sample FROM forecast AS f
        WHERE f.room_id = p_room_id AND f.position <= p_position
            AND f.waited_seconds IS NULL AND NOT f.gone
        FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE f.room_id = p_room_id AND f.sample = due.sample;
END $$;

-- Deletes the next places of a line, up to p_limit, as far as possible (waiting_room_prunable), with their
-- admissions. Those behind `serving` had left: `serving` moves past them. Returns the number of places.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_prune(p_room_id int, p_before timestamptz, p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
    last int;
    admitted int;
    past int;
BEGIN
    -- The first time, all entrants of a draw are read: before anything is locked.
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
    admitted := waiting_room_delete_places(p_room_id, room.pruned_to + 1, last);
    past := greatest(last, room.entrants, room.serving);
    PERFORM waiting_room_delete_forecasts(p_room_id, past);
    UPDATE waiting_room AS r
    SET pruned_to = last, pruned_called = r.pruned_called + admitted, serving = past,
        left_passed = r.left_passed + past - r.serving
    WHERE r.room_id = p_room_id;
    RETURN last - room.pruned_to;
END $$;

-- Deletes the outcome of a draw whose entrants are all deleted: the positions p_after + 1 to
-- p_after + p_limit. Returns whether there may be more.
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
