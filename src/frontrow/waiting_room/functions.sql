-- Places in a line: join, enter, leave. Each call is one function for a whole batch.
--
-- A function locks the rows that it depends on (the room, then its places by number), then reads the
-- clock once, then decides from the locked rows, then writes. A batch comes as arrays of the same
-- length; the function returns one row for each item, numbered by its 1-based position in the arrays.
--
-- "-- hot" above a function pins its plan (docs/design/adr/0011-pinned-plans.md): one for a batch of any size,
-- look-ups by index, also when the statistics of a table that has just grown are outdated. OFFSET 0 keeps the
-- planner from reversing the join of a look-up by key. It could still reverse the join of an UPDATE, so an
-- UPDATE finds its rows by the ctid that such a look-up returns. This is correct only for rows that an earlier
-- statement of the same transaction has locked: nothing can move them between the look-up and the update.

-- Locks places in the documented order. Other features' functions call it too.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_lock(p_rooms int[], p_numbers int[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (
        SELECT DISTINCT room_id, number FROM unnest(p_rooms, p_numbers) AS k (room_id, number)
        ORDER BY room_id, number
    ) AS k
    CROSS JOIN LATERAL (
        SELECT FROM place AS p
        WHERE p.room_id = k.room_id AND p.number = k.number
        FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- Claims admitted places at their first admitted call: their sessions begin. The places are locked already.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_claim(
    p_rooms int[], p_numbers int[], p_places uuid[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE place AS p
    SET claimed_at = p_now, session_until = due.until, expires_at = due.until
    FROM (
        SELECT DISTINCT l.at, p_now + make_interval(secs => r.session_seconds) AS until
        FROM unnest(p_rooms, p_numbers, p_places) AS k (room_id, number, place_id)
        CROSS JOIN LATERAL (
            SELECT p.ctid AS at, p.room_id FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number AND p.place_id = k.place_id
                AND p.state = 'admitted' AND p.claimed_at IS NULL AND p.expires_at > p_now
            OFFSET 0
        ) AS l
        CROSS JOIN LATERAL (
            SELECT r.session_seconds FROM waiting_room AS r WHERE r.room_id = l.room_id OFFSET 0
        ) AS r
    ) AS due
    WHERE p.ctid = due.at;
END $$;

-- Returns 'admitted' if a place may act now, else why not. A token whose place_id is not that of the
-- stored place is forged. Other features' functions call it too.
CREATE OR REPLACE FUNCTION waiting_room_standing(
    place_id uuid, state place_state, expires_at timestamptz, token_place_id uuid, now timestamptz
)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN place_id IS DISTINCT FROM token_place_id THEN 'credential_invalid'
    WHEN state = 'finished' THEN 'token_finished'
    WHEN state = 'waiting' THEN 'not_admitted'
    WHEN expires_at <= now THEN 'token_finished'
    ELSE 'admitted'
END;

-- Returns why a place has ended: the stored reason, or 'expired' once its time has passed.
CREATE OR REPLACE FUNCTION waiting_room_reason(
    state place_state, reason finish_reason, expires_at timestamptz, now timestamptz
)
RETURNS finish_reason LANGUAGE sql IMMUTABLE
RETURN CASE WHEN state = 'admitted' AND expires_at <= now THEN 'expired' ELSE reason END;

-- Step of waiting_room_join: locks the users' unfinished places in a line, by number. A place may be
-- finished by its owner's own call, which doesn't lock the room.
CREATE OR REPLACE FUNCTION waiting_room_lock_unfinished(p_room_id int, p_users uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (
        SELECT p.number FROM unnest(p_users) AS u (user_id)
        CROSS JOIN LATERAL (
            SELECT p.number FROM place AS p
            WHERE p.room_id = p_room_id AND p.user_id = u.user_id AND p.state <> 'finished'
            OFFSET 0
        ) AS p
        ORDER BY p.number
    ) AS k
    CROSS JOIN LATERAL (
        SELECT FROM place AS p WHERE p.room_id = p_room_id AND p.number = k.number
        FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- Step of waiting_room_join: finishes those of the users' places whose time has passed.
CREATE OR REPLACE FUNCTION waiting_room_finish_overdue(
    p_room_id int, p_users uuid[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE place AS p
    SET state = 'finished', reason = 'expired', finished_at = p_now
    FROM (
        SELECT DISTINCT l.at FROM unnest(p_users) AS u (user_id)
        CROSS JOIN LATERAL (
            SELECT p.ctid AS at FROM place AS p
            WHERE p.room_id = p_room_id AND p.user_id = u.user_id AND p.state <> 'finished'
                AND p.expires_at <= p_now
            OFFSET 0
        ) AS l
    ) AS overdue
    WHERE p.ctid = overdue.at;
END $$;

-- Step of waiting_room_join: the users who join, in the order of the batch, each named by id (p_users) or by
-- the hash of a user key (p_keys). valid: false with an unknown, revoked or expired key, and for an erased
-- user. lasts: how many seconds the key lasts; NULL without an end.
-- The room is locked before, so that what was revoked or erased while the batch waited is not valid.
CREATE OR REPLACE FUNCTION waiting_room_joiners(
    p_users uuid[], p_keys bytea[], OUT users uuid[], OUT valid boolean[], OUT lasts float8[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT array_agg(j.user_id ORDER BY j.item), array_agg(j.valid AND e.erased IS NULL ORDER BY j.item),
        array_agg(j.lasts ORDER BY j.item)
    INTO users, valid, lasts
    FROM (
        SELECT a.item, coalesce(a.user_id, k.user_id) AS user_id,
            coalesce(k.valid, a.user_id IS NOT NULL) AS valid, k.lasts
        FROM unnest(p_users, p_keys) WITH ORDINALITY AS a (user_id, key_hash, item)
        LEFT JOIN LATERAL (
            SELECT k.user_id,
                k.revoked_at IS NULL AND coalesce(k.expires_at > clock_timestamp(), true) AS valid,
                extract(epoch FROM k.expires_at - clock_timestamp())::float8 AS lasts
            FROM user_key AS k WHERE k.key_hash = a.key_hash
            OFFSET 0
        ) AS k ON true
    ) AS j
    LEFT JOIN LATERAL (
        SELECT true AS erased FROM erasure AS e WHERE e.user_id = j.user_id OFFSET 0
    ) AS e ON true;
END $$;

-- Gives each user, named by id or by the hash of a user key, a place in one line: the unfinished one, or a new
-- one with the next number. Numbers are gapless and in order of commit, because the room stays locked until
-- the commit.
-- outcome: new (also if this item was given the place before); live (the user has an unfinished place); again
-- (an earlier item of these arrays is the same user: run again); room_closed; sign_in_required (the concert has
-- no guests); credential_invalid (see waiting_room_joiners, also for key_lasts); not_found (no such room).
-- hot
CREATE OR REPLACE FUNCTION waiting_room_join(p_room_id int, p_users uuid[], p_keys bytea[], p_places uuid[])
RETURNS TABLE (
    item int, outcome text, user_id uuid, key_lasts float8, place_id uuid, number int, state place_state,
    joined_at timestamptz, admitted_at timestamptz, claimed_at timestamptz, expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    room waiting_room;
    joiners record;
    now timestamptz;
    closed boolean;
    guests boolean;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    guests := (SELECT c.guests FROM concert AS c WHERE c.concert_id = room.concert_id);
    joiners := waiting_room_joiners(p_users, p_keys);
    PERFORM waiting_room_lock_unfinished(p_room_id, joiners.users);
    now := clock_timestamp();
    closed := coalesce(room.closes_at <= now, false);
    PERFORM waiting_room_finish_overdue(p_room_id, joiners.users, now);

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT a.*, p.number AS live, p.place_id AS live_place, p.state, p.joined_at, p.admitted_at,
            p.claimed_at, p.expires_at,
            p.number IS NULL AND a.valid AND (guests OR NOT user_is_guest(a.user_id))
                AND row_number() OVER (PARTITION BY a.user_id, a.valid ORDER BY a.item) = 1
                AS needs_number
        FROM unnest(joiners.users, joiners.valid, joiners.lasts, p_places) WITH ORDINALITY
            AS a (user_id, valid, lasts, place_id, item)
        LEFT JOIN LATERAL (
            SELECT p.* FROM place AS p
            WHERE p.room_id = p_room_id AND p.user_id = a.user_id AND p.state <> 'finished'
            OFFSET 0
        ) AS p ON true
    ),
    numbered AS MATERIALIZED (
        SELECT a.*, CASE WHEN a.needs_number AND NOT closed THEN
            room.issued + count(*) FILTER (WHERE a.needs_number) OVER (ORDER BY a.item)
        END::int AS given
        FROM asked AS a
    ),
    placed AS (
        INSERT INTO place (place_id, user_id, joined_at, room_id, number)
        SELECT n.place_id, n.user_id, now, p_room_id, n.given FROM numbered AS n
        WHERE n.given IS NOT NULL ORDER BY n.given
    ),
    counted AS (
        UPDATE waiting_room SET issued = last.given
        FROM (SELECT max(n.given) AS given FROM numbered AS n) AS last
        WHERE room_id = p_room_id AND last.given IS NOT NULL
    )
    SELECT n.item::int,
        CASE
            WHEN n.live_place = n.place_id THEN 'new'
            WHEN NOT n.valid THEN 'credential_invalid'
            WHEN room.room_id IS NULL THEN 'not_found'
            WHEN n.live IS NOT NULL THEN 'live'
            WHEN n.given IS NOT NULL THEN 'new'
            WHEN closed THEN 'room_closed'
            WHEN NOT guests AND user_is_guest(n.user_id) THEN 'sign_in_required'
            ELSE 'again'
        END,
        n.user_id, n.lasts, coalesce(n.live_place, n.place_id), coalesce(n.live, n.given),
        coalesce(n.state, 'waiting'), coalesce(n.joined_at, now),
        n.admitted_at, n.claimed_at, n.expires_at
    FROM numbered AS n;
END $$;

-- Checks whether places may act, and claims each at its first admitted call.
-- outcome: admitted, not_admitted, token_finished (with its reason), credential_invalid.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_enter(p_rooms int[], p_numbers int[], p_places uuid[])
RETURNS TABLE (item int, outcome text, reason finish_reason)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz := clock_timestamp();
BEGIN
    IF EXISTS (
        SELECT FROM unnest(p_rooms, p_numbers) AS k (room_id, number)
        CROSS JOIN LATERAL (
            SELECT FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number
                AND p.state = 'admitted' AND p.claimed_at IS NULL
            OFFSET 0
        ) AS unclaimed
    ) THEN
        PERFORM waiting_room_lock(p_rooms, p_numbers);
        now := clock_timestamp();
        PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);
    END IF;
    RETURN QUERY
    SELECT k.item::int, waiting_room_standing(p.place_id, p.state, p.expires_at, k.place_id, now),
        waiting_room_reason(p.state, p.reason, p.expires_at, now)
    FROM unnest(p_rooms, p_numbers, p_places) WITH ORDINALITY AS k (room_id, number, place_id, item)
    LEFT JOIN LATERAL (
        SELECT p.* FROM place AS p WHERE p.room_id = k.room_id AND p.number = k.number OFFSET 0
    ) AS p ON true;
END $$;

-- Finishes places whose owners leave. Waiting ones are numbered in order of leaving (left_seq), so that
-- each snapshot subtracts every leaver exactly once.
-- outcome: left, token_finished (with its reason), credential_invalid.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_leave(p_rooms int[], p_numbers int[], p_places uuid[])
RETURNS TABLE (item int, outcome text, reason finish_reason)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
BEGIN
    PERFORM FROM (SELECT DISTINCT r FROM unnest(p_rooms) AS r ORDER BY r) AS k (room_id)
    CROSS JOIN LATERAL (
        SELECT FROM waiting_room AS r WHERE r.room_id = k.room_id FOR NO KEY UPDATE
    ) AS locked;
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    now := clock_timestamp();

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT k.item, k.room_id, k.number, p.at, p.state, p.reason, p.expires_at,
            waiting_room_standing(p.place_id, p.state, p.expires_at, k.place_id, now) AS standing
        FROM unnest(p_rooms, p_numbers, p_places)
            WITH ORDINALITY AS k (room_id, number, place_id, item)
        LEFT JOIN LATERAL (
            SELECT p.ctid AS at, p.* FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number
            OFFSET 0
        ) AS p ON true
    ),
    leaver AS MATERIALIZED (
        SELECT a.room_id, a.at, CASE WHEN a.state = 'waiting' THEN
            count(*) FILTER (WHERE a.state = 'waiting') OVER (PARTITION BY a.room_id ORDER BY a.number)
            END AS seq
        FROM (
            SELECT DISTINCT room_id, number, at, state FROM asked
            WHERE standing IN ('admitted', 'not_admitted')
        ) AS a
    ),
    finished AS (
        UPDATE place AS p
        SET state = 'finished', reason = 'left', finished_at = now, left_seq = l.seq + r.left_count
        FROM leaver AS l
        CROSS JOIN LATERAL (
            SELECT r.left_count FROM waiting_room AS r WHERE r.room_id = l.room_id OFFSET 0
        ) AS r
        WHERE p.ctid = l.at
    ),
    counted AS (
        UPDATE waiting_room AS r SET left_count = r.left_count + l.leavers
        FROM (SELECT room_id, count(seq) AS leavers FROM leaver GROUP BY room_id) AS l
        CROSS JOIN LATERAL (
            SELECT r.ctid AS at FROM waiting_room AS r WHERE r.room_id = l.room_id OFFSET 0
        ) AS room
        WHERE r.ctid = room.at AND l.leavers > 0
    )
    SELECT a.item::int,
        CASE WHEN a.standing IN ('admitted', 'not_admitted') THEN 'left' ELSE a.standing END,
        waiting_room_reason(a.state, a.reason, a.expires_at, now)
    FROM asked AS a;
END $$;
