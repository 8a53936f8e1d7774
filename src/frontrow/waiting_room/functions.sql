-- The line: every change of a place, one call of a set-based function each.
--
-- Each function locks what it depends on (room, then places by number), reads the clock once, decides
-- on what is there now and writes. Lists come as arrays of one length; each item has its answer,
-- numbered by its 1-based place in the arrays. The settings on a function pin the shape of its plan:
-- look-ups by index, whatever the statistics say of a table that has just grown.

-- Locks places, in the documented order. For other features' functions too.
CREATE OR REPLACE FUNCTION waiting_room_lock(p_rooms int[], p_numbers int[])
RETURNS void LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
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

-- The first admitted call of a called user: the session begins. The places are locked already.
CREATE OR REPLACE FUNCTION waiting_room_claim(
    p_rooms int[], p_numbers int[], p_places uuid[], p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
BEGIN
    UPDATE place AS p
    SET claimed_at = p_now, session_until = due.until, expires_at = due.until
    FROM (
        SELECT DISTINCT k.room_id, k.number,
            p_now + make_interval(secs => r.session_seconds) AS until
        FROM unnest(p_rooms, p_numbers, p_places) AS k (room_id, number, place_id)
        CROSS JOIN LATERAL (
            SELECT FROM place AS p
            WHERE p.room_id = k.room_id AND p.number = k.number AND p.place_id = k.place_id
                AND p.state = 'admitted' AND p.claimed_at IS NULL AND p.expires_at > p_now
            OFFSET 0
        ) AS called
        CROSS JOIN LATERAL (
            SELECT session_seconds FROM waiting_room AS r WHERE r.room_id = k.room_id
        ) AS r
    ) AS due
    WHERE p.room_id = due.room_id AND p.number = due.number;
END $$;

-- Whether a place may act now: 'admitted', or why not. A place that isn't the token's own is a
-- forgery. For other features' functions too.
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

-- Why a place is over: what it was finished for, or that its time has run out.
CREATE OR REPLACE FUNCTION waiting_room_reason(
    state place_state, reason finish_reason, expires_at timestamptz, now timestamptz
)
RETURNS finish_reason LANGUAGE sql IMMUTABLE
RETURN CASE WHEN state = 'admitted' AND expires_at <= now THEN 'expired' ELSE reason END;

-- Gives each user a place in one line: the live one, or the next number. Numbers are gapless and in
-- order of commit: the room row is locked from before the first number is given until the commit.
-- outcome: new, live, again (the user stands twice in these arrays: run again), room_closed,
-- not_found (no such room).
CREATE OR REPLACE FUNCTION waiting_room_join(p_room_id int, p_users uuid[], p_places uuid[])
RETURNS TABLE (
    item int, outcome text, place_id uuid, number int, state place_state, joined_at timestamptz,
    admitted_at timestamptz, claimed_at timestamptz, expires_at timestamptz
)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    room waiting_room;
    now timestamptz;
    closed boolean;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT i, 'not_found', NULL::uuid, NULL::int, NULL::place_state,
            NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::timestamptz
        FROM generate_subscripts(p_users, 1) AS i;
        RETURN;
    END IF;

    -- A live place may be ended by its owner's own call, which doesn't lock the room.
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
    now := clock_timestamp();
    closed := coalesce(room.closes_at <= now, false);

    UPDATE place AS p
    SET state = 'finished', reason = 'expired', finished_at = now
    FROM (
        SELECT DISTINCT p.number FROM unnest(p_users) AS u (user_id)
        CROSS JOIN LATERAL (
            SELECT p.number FROM place AS p
            WHERE p.room_id = p_room_id AND p.user_id = u.user_id AND p.state <> 'finished'
                AND p.expires_at <= now
            OFFSET 0
        ) AS p
    ) AS dead
    WHERE p.room_id = p_room_id AND p.number = dead.number;

    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT a.*, p.number AS live, p.place_id AS live_place, p.state, p.joined_at, p.admitted_at,
            p.claimed_at, p.expires_at,
            row_number() OVER (PARTITION BY a.user_id ORDER BY a.item) AS turn
        FROM unnest(p_users, p_places) WITH ORDINALITY AS a (user_id, place_id, item)
        LEFT JOIN LATERAL (
            SELECT p.* FROM place AS p
            WHERE p.room_id = p_room_id AND p.user_id = a.user_id AND p.state <> 'finished'
        ) AS p ON true
    ),
    numbered AS MATERIALIZED (
        SELECT a.*,
            CASE WHEN a.live IS NULL AND a.turn = 1 AND NOT closed THEN
                room.issued + count(*) FILTER (WHERE a.live IS NULL AND a.turn = 1)
                    OVER (ORDER BY a.item)
            END::int AS given
        FROM asked AS a
    ),
    placed AS (
        INSERT INTO place (place_id, user_id, joined_at, room_id, number)
        SELECT n.place_id, n.user_id, now, p_room_id, n.given FROM numbered AS n
        WHERE n.given IS NOT NULL
        ORDER BY n.given
    ),
    counted AS (
        UPDATE waiting_room SET issued = last.given
        FROM (SELECT max(n.given) AS given FROM numbered AS n) AS last
        WHERE room_id = p_room_id AND last.given IS NOT NULL
    )
    SELECT n.item::int,
        CASE
            WHEN n.live IS NOT NULL THEN CASE WHEN n.live_place = n.place_id THEN 'new' ELSE 'live' END
            WHEN n.given IS NOT NULL THEN 'new'
            WHEN closed THEN 'room_closed'
            ELSE 'again'
        END,
        coalesce(n.live_place, n.place_id), coalesce(n.live, n.given),
        coalesce(n.state, 'waiting'), coalesce(n.joined_at, now),
        n.admitted_at, n.claimed_at, n.expires_at
    FROM numbered AS n;
END $$;

-- What an admitted call asks first: may this place act? Claims it if this is its first call.
-- outcome: admitted, not_admitted, token_finished (with its reason), credential_invalid.
CREATE OR REPLACE FUNCTION waiting_room_enter(p_rooms int[], p_numbers int[], p_places uuid[])
RETURNS TABLE (item int, outcome text, reason finish_reason)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
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
        SELECT p.* FROM place AS p WHERE p.room_id = k.room_id AND p.number = k.number
    ) AS p ON true;
END $$;

-- Ends places because their owners leave. Those still waiting are numbered in order of leaving, so
-- that everybody behind them can count them out exactly once.
-- outcome: left, token_finished (with its reason), credential_invalid.
CREATE OR REPLACE FUNCTION waiting_room_leave(p_rooms int[], p_numbers int[], p_places uuid[])
RETURNS TABLE (item int, outcome text, reason finish_reason)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
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
        SELECT k.item, k.room_id, k.number, p.state, p.reason, p.expires_at,
            waiting_room_standing(p.place_id, p.state, p.expires_at, k.place_id, now) AS standing
        FROM unnest(p_rooms, p_numbers, p_places)
            WITH ORDINALITY AS k (room_id, number, place_id, item)
        LEFT JOIN LATERAL (
            SELECT p.* FROM place AS p WHERE p.room_id = k.room_id AND p.number = k.number
        ) AS p ON true
    ),
    leaver AS MATERIALIZED (
        SELECT a.room_id, a.number, CASE WHEN a.state = 'waiting' THEN
            count(*) FILTER (WHERE a.state = 'waiting') OVER (PARTITION BY a.room_id ORDER BY a.number)
            END AS seq
        FROM (
            SELECT DISTINCT room_id, number, state FROM asked
            WHERE standing IN ('admitted', 'not_admitted')
        ) AS a
    ),
    ended AS (
        UPDATE place AS p
        SET state = 'finished', reason = 'left', finished_at = now, left_seq = l.seq + r.left_count
        FROM leaver AS l
        CROSS JOIN LATERAL (
            SELECT r.left_count FROM waiting_room AS r WHERE r.room_id = l.room_id
        ) AS r
        WHERE p.room_id = l.room_id AND p.number = l.number
    ),
    counted AS (
        UPDATE waiting_room AS r SET left_count = r.left_count + l.leavers
        FROM (SELECT room_id, count(seq) AS leavers FROM leaver GROUP BY room_id) AS l
        WHERE r.room_id = l.room_id AND l.leavers > 0
    )
    SELECT a.item::int,
        CASE WHEN a.standing IN ('admitted', 'not_admitted') THEN 'left' ELSE a.standing END,
        waiting_room_reason(a.state, a.reason, a.expires_at, now)
    FROM asked AS a;
END $$;

-- Calls the next people of one line, strictly by number, as far as the bounds allow. First it
-- finishes the places whose time is over: a slot is free only then, never by the clock alone, since a
-- hold in flight may just be extending a session (its row is locked: it is passed over and still
-- counts). p_cap bounds how many are called and not finished; p_rate admissions may happen in any
-- window of p_rate_seconds, spread over it. NULL: no such bound. p_policy_version names the policy
-- that the bounds were made from.
-- outcome: done; stale_policy (the room has another policy by now: nothing was done); not_found.
-- more: somebody is waiting who may not come in yet.
CREATE OR REPLACE FUNCTION waiting_room_admit(
    p_room_id int, p_policy_version int, p_cap int, p_rate int, p_rate_seconds double precision
)
RETURNS TABLE (outcome text, admitted int, expired int, active int, more boolean)
LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    -- How much unused allowance a rate policy may make up for after a pause.
    catch_up CONSTANT interval := interval '200 milliseconds';
    -- Most people called at once, so that the room isn't locked for long.
    most CONSTANT int := 5000;
    room waiting_room;
    now timestamptz;
    per_person interval;
    free bigint;
    n int;
    last int;
    first int;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    IF NOT FOUND OR room.policy_version <> p_policy_version THEN
        RETURN QUERY SELECT CASE WHEN room.room_id IS NULL THEN 'not_found' ELSE 'stale_policy' END,
            0, 0, 0, false;
        RETURN;
    END IF;
    now := clock_timestamp();

    WITH due AS MATERIALIZED (
        SELECT p.number FROM place AS p
        WHERE p.room_id = p_room_id AND p.state = 'admitted' AND p.expires_at <= now
        ORDER BY p.number
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE place AS p SET state = 'finished', reason = 'expired', finished_at = now
    FROM due WHERE p.room_id = p_room_id AND p.number = due.number;
    GET DIAGNOSTICS expired = ROW_COUNT;
    SELECT count(*) INTO active FROM place AS p WHERE p.room_id = p_room_id AND p.state = 'admitted';
    -- A payment may have ended its place since the clock was read, without the room's lock: whoever
    -- gets that slot gets it after that moment.
    now := clock_timestamp();

    outcome := 'done';
    admitted := 0;
    free := CASE
        WHEN room.paused OR now < room.opens_at OR room.closes_at <= now THEN 0
        ELSE least(greatest(coalesce(p_cap - active, most), 0), most)
    END;
    IF p_rate IS NOT NULL AND free > 0 THEN
        per_person := make_interval(secs => p_rate_seconds / p_rate);
        room.paced_until := greatest(
            coalesce(room.paced_until, '-infinity'), now - greatest(catch_up, per_person)
        );
        SELECT least(
            free,
            floor(extract(epoch FROM now - room.paced_until) * p_rate / p_rate_seconds + 1e-6)::int,
            p_rate - coalesce(sum(a.admitted), 0)
        ) INTO free
        FROM admission AS a
        WHERE a.room_id = p_room_id AND a.admitted_at > now - make_interval(secs => p_rate_seconds);
        free := greatest(free, 0);
    END IF;

    IF free > 0 AND room.serving < room.issued THEN
        WITH next AS MATERIALIZED (
            SELECT p.number FROM place AS p
            WHERE p.room_id = p_room_id AND p.number > room.serving AND p.state = 'waiting'
            ORDER BY p.number LIMIT free
            FOR NO KEY UPDATE
        ),
        called AS (
            UPDATE place AS p
            SET state = 'admitted', admitted_at = now,
                expires_at = now + make_interval(secs => room.claim_seconds)
            FROM next WHERE p.room_id = p_room_id AND p.number = next.number
        )
        SELECT count(*), min(next.number), max(next.number) INTO n, first, last FROM next;
        IF n > 0 THEN
            admitted := n;
            active := active + n;
            INSERT INTO admission VALUES
                (p_room_id, first, last, n, active, p_policy_version, now);
            UPDATE waiting_room
            SET serving = last,
                paced_until = CASE WHEN p_rate IS NULL THEN paced_until
                    ELSE room.paced_until + n * per_person END
            WHERE room_id = p_room_id;
            room.serving := last;
        END IF;
    END IF;
    more := EXISTS (
        SELECT FROM place AS p
        WHERE p.room_id = p_room_id AND p.number > room.serving AND p.state = 'waiting'
    );
    RETURN NEXT;
END $$;

-- Ends those who still wait in a line that has closed, p_limit at a time. They are counted out like
-- leavers: a line may be opened again, and then people stand behind them. Returns how many.
CREATE OR REPLACE FUNCTION waiting_room_close(p_room_id int, p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off
SET enable_bitmapscan = off
AS $$
DECLARE
    room waiting_room;
    now timestamptz;
    n int;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    now := clock_timestamp();
    IF NOT FOUND OR room.closes_at IS NULL OR room.closes_at > now THEN
        RETURN 0;
    END IF;
    WITH rest AS MATERIALIZED (
        SELECT p.number FROM place AS p
        WHERE p.room_id = p_room_id AND p.number > room.serving AND p.state = 'waiting'
        ORDER BY p.number LIMIT p_limit
        FOR NO KEY UPDATE
    )
    UPDATE place AS p
    SET state = 'finished', reason = 'expired', finished_at = now,
        left_seq = room.left_count + rest.turn
    FROM (SELECT number, row_number() OVER (ORDER BY number) AS turn FROM rest) AS rest
    WHERE p.room_id = p_room_id AND p.number = rest.number;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF n > 0 THEN
        UPDATE waiting_room SET left_count = room.left_count + n WHERE room_id = p_room_id;
    END IF;
    RETURN n;
END $$;

-- Replaces a line's policy and times; places and numbers stay. Returns the new policy_version.
CREATE OR REPLACE FUNCTION waiting_room_configure(
    p_concert_id uuid, p_policy jsonb, p_session_seconds int, p_claim_seconds int,
    p_opens_at timestamptz, p_closes_at timestamptz
)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE concert_id = p_concert_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE waiting_room
    SET policy = p_policy, session_seconds = p_session_seconds, claim_seconds = p_claim_seconds,
        opens_at = p_opens_at, closes_at = p_closes_at,
        policy_version = room.policy_version + 1
    WHERE room_id = room.room_id;
    INSERT INTO policy_change VALUES
        (room.room_id, room.policy_version + 1, p_policy, clock_timestamp());
    RETURN room.policy_version + 1;
END $$;
