-- The erasure of a user's data. Conventions as in waiting_room/functions.sql; the account comes last in
-- the order of locks, with its keys behind it (users/functions.sql).

-- The user of the places and holds of erased users. No account has this id.
CREATE OR REPLACE FUNCTION retention_nobody()
RETURNS uuid LANGUAGE sql IMMUTABLE
RETURN '00000000-0000-0000-0000-0000000000ee'::uuid;

-- The unfinished places of a user, by room.
-- hot
CREATE OR REPLACE FUNCTION retention_live_places(p_user_id uuid)
RETURNS TABLE (room_id int, number int, place_id uuid)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT w.room_id, p.number, p.place_id FROM waiting_room AS w
    CROSS JOIN LATERAL (
        SELECT p.number, p.place_id FROM place AS p
        WHERE p.room_id = w.room_id AND p.user_id = p_user_id AND p.state <> 'finished'
        OFFSET 0
    ) AS p
    ORDER BY w.room_id;
END $$;

-- Erases a user: leaves all lines, releases all holds, revokes all keys; from then on nobody can join as this
-- user (waiting_room_join). A balance prevents it unless p_force. Purchases stay.
-- outcome: erased (also for an erased user); not_found; balance_remains (balance).
-- rooms: the lines that the user left. revoked: the hashes of the revoked keys.
-- hot
CREATE OR REPLACE FUNCTION retention_erase(
    p_user_id uuid, p_force boolean,
    OUT outcome text, OUT balance bigint, OUT rooms int[], OUT revoked bytea[]
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    numbers int[];
    places uuid[];
    number bigint;
BEGIN
    revoked := '{}';
    -- retention_sweep ends a place in a line that the user joins meanwhile.
    rooms := ARRAY(SELECT p.room_id FROM retention_live_places(p_user_id) AS p);
    PERFORM FROM (SELECT r FROM unnest(rooms) AS r ORDER BY r) AS k (room_id)
    CROSS JOIN LATERAL (
        SELECT FROM waiting_room AS w WHERE w.room_id = k.room_id FOR NO KEY UPDATE
    ) AS locked;
    SELECT coalesce(array_agg(p.room_id ORDER BY p.room_id), '{}'),
        coalesce(array_agg(p.number ORDER BY p.room_id), '{}'),
        coalesce(array_agg(p.place_id ORDER BY p.room_id), '{}')
    INTO rooms, numbers, places FROM retention_live_places(p_user_id) AS p
    WHERE p.room_id = ANY (rooms);
    PERFORM waiting_room_lock(rooms, numbers);
    PERFORM reservation_lock(reservation_held_by(rooms, numbers));
    PERFORM wallet_lock(ARRAY[p_user_id]);
    PERFORM FROM app_user AS u WHERE u.user_id = p_user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        outcome := 'not_found';
        RETURN;
    END IF;
    outcome := 'erased';
    IF EXISTS (SELECT FROM erasure AS e WHERE e.user_id = p_user_id) THEN
        RETURN;
    END IF;
    SELECT w.balance INTO balance FROM wallet AS w WHERE w.user_id = p_user_id;
    IF balance > 0 AND NOT p_force THEN
        outcome := 'balance_remains';
        RETURN;
    END IF;
    PERFORM FROM reservation_leave(rooms, numbers, places);
    revoked := user_key_end(p_user_id, NULL, NULL);
    UPDATE installation SET revocations = revocations + 1 RETURNING revocations INTO number;
    INSERT INTO erasure (user_id, erased_at, revocation)
    VALUES (p_user_id, clock_timestamp(), number);
END $$;

-- Takes an erased user out of one line. A join that ran during the erasure has committed once the room is
-- locked, and a later one sees the erasure: after this the user has no unfinished place there. Returns
-- whether there was one.
CREATE OR REPLACE FUNCTION retention_sweep(p_room_id int, p_user_id uuid)
RETURNS boolean LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    mine place;
BEGIN
    PERFORM FROM waiting_room AS w WHERE w.room_id = p_room_id FOR NO KEY UPDATE;
    SELECT * INTO mine FROM place AS p
    WHERE p.room_id = p_room_id AND p.user_id = p_user_id AND p.state <> 'finished';
    IF NOT FOUND OR NOT EXISTS (SELECT FROM erasure AS e WHERE e.user_id = p_user_id) THEN
        RETURN false;
    END IF;
    PERFORM FROM reservation_leave(ARRAY[p_room_id], ARRAY[mine.number], ARRAY[mine.place_id]);
    -- The user's places may have been unlinked before this one was ended.
    UPDATE erasure AS e SET unlinked_at = NULL
    WHERE e.user_id = p_user_id AND e.unlinked_at IS NOT NULL;
    RETURN true;
END $$;

-- Gives the places of erased users that ended without a purchase, and their holds, to retention_nobody: one
-- pass over the places for up to p_limit users. A user with an unfinished place waits. One call at a time
-- works: a concurrent one does nothing.
CREATE OR REPLACE FUNCTION retention_unlink(
    p_limit int, OUT users int, OUT places int, OUT reservations int
)
LANGUAGE plpgsql VOLATILE
SET enable_mergejoin = off
AS $$
DECLARE
    due uuid[];
    rooms int[];
    numbers int[];
    live uuid[];
    holds uuid[];
BEGIN
    users := 0;
    places := 0;
    reservations := 0;
    SELECT array_agg(e.user_id) INTO due FROM (
        SELECT e.user_id FROM erasure AS e WHERE e.unlinked_at IS NULL
        ORDER BY e.erased_at LIMIT p_limit
    ) AS e;
    -- "UNLK"
    IF due IS NULL OR NOT pg_try_advisory_xact_lock(x'554E4C4B'::int) THEN
        RETURN;
    END IF;
    SELECT coalesce(array_agg(p.room_id) FILTER (WHERE p.state = 'finished'), '{}'),
        coalesce(array_agg(p.number) FILTER (WHERE p.state = 'finished'), '{}'),
        coalesce(array_agg(p.user_id) FILTER (WHERE p.state <> 'finished'), '{}')
    INTO rooms, numbers, live
    FROM place AS p WHERE p.user_id = ANY (due) AND p.reason IS DISTINCT FROM 'paid';
    PERFORM waiting_room_lock(rooms, numbers);
    SELECT array_agg(r.reservation_id) INTO holds
    FROM reservation AS r
    JOIN unnest(rooms, numbers) AS k (room_id, number)
        ON r.room_id = k.room_id AND r.place_number = k.number
    WHERE r.user_id = ANY (due);
    PERFORM FROM reservation AS r WHERE r.reservation_id = ANY (holds)
    ORDER BY r.reservation_id FOR NO KEY UPDATE;

    UPDATE place AS p SET user_id = retention_nobody()
    FROM unnest(rooms, numbers) AS k (room_id, number)
    WHERE p.room_id = k.room_id AND p.number = k.number;
    GET DIAGNOSTICS places = ROW_COUNT;
    UPDATE reservation AS r SET user_id = retention_nobody() WHERE r.reservation_id = ANY (holds);
    GET DIAGNOSTICS reservations = ROW_COUNT;
    UPDATE erasure AS e SET unlinked_at = clock_timestamp()
    WHERE e.user_id = ANY (due) AND e.user_id <> ALL (live);
    GET DIAGNOSTICS users = ROW_COUNT;
END $$;
