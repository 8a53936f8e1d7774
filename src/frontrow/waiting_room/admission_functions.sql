-- Who comes in, and when: admission, the end of a closed line, the cap of an adaptive policy.
-- Conventions as in functions.sql.

-- How many wait in a line: those behind `serving`, without those of them who left.
CREATE OR REPLACE FUNCTION waiting_room_waiting(
    issued int, serving int, left_count int, left_passed int
)
RETURNS int LANGUAGE sql IMMUTABLE
RETURN issued - serving - (left_count - left_passed);

-- Whether a line calls people: neither before opening or the draw, nor after closing, nor in a pause.
CREATE OR REPLACE FUNCTION waiting_room_is_open(room waiting_room, p_now timestamptz)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN NOT (
        room.paused OR coalesce(p_now < room.opens_at, false)
        OR coalesce(room.closes_at <= p_now, false)
        OR room.line_order = 'draw' AND room.entrants IS NULL
    );
END $$;

-- The cap that follows from one step of an adaptive policy: additive increase, multiplicative decrease
-- (Chiu and Jain, 1989: of the linear rules, the one that settles at a fair and efficient point). Calls
-- that took longer than the target take a third off the cap; else it grows by a fiftieth of its range,
-- if it was used up. p95_ms NULL: no call was made, so none was slow.
CREATE OR REPLACE FUNCTION waiting_room_adapted_cap(
    cap int, p95_ms double precision, used_up boolean,
    min_active int, max_active int, target_p95_ms double precision
)
RETURNS int LANGUAGE sql IMMUTABLE
RETURN least(max_active, greatest(min_active, CASE
    WHEN p95_ms > target_p95_ms THEN floor(cap * 0.67)::int
    WHEN used_up THEN cap + greatest(1, (max_active - min_active) / 50)
    ELSE cap
END));

-- The quantile of calls counted by bucket: the upper bound of the bucket that it falls into. NULL for
-- none; infinity above all bounds.
CREATE OR REPLACE FUNCTION waiting_room_quantile(
    calls bigint[], bounds_ms double precision[], quantile double precision
)
RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN (
    SELECT coalesce(bounds_ms[b.bucket], 'infinity') FROM (
        SELECT c.bucket, sum(c.calls) OVER (ORDER BY c.bucket) AS so_far, sum(c.calls) OVER () AS total
        FROM unnest(calls) WITH ORDINALITY AS c (calls, bucket)
    ) AS b
    WHERE b.so_far >= b.total * quantile AND b.total > 0
    ORDER BY b.bucket LIMIT 1
);

-- Tells what one process has measured (calls by bucket) since it last did, and takes the next step of
-- the line's adaptive policy if p_step_seconds have passed since the last one, whichever process took
-- that. Returns the cap; NULL where the policy isn't this one, or isn't adaptive.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_adapt(
    p_room_id int, p_policy_version int, p_calls bigint[], p_bounds_ms double precision[],
    p_step_seconds double precision
)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
    load room_load;
    now timestamptz;
    active int;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    IF NOT FOUND OR room.policy_version <> p_policy_version OR room.adaptive_cap IS NULL THEN
        RETURN NULL;
    END IF;
    now := clock_timestamp();
    INSERT INTO room_load AS l (room_id, calls, stepped_at) VALUES (p_room_id, p_calls, now)
    ON CONFLICT (room_id) DO UPDATE SET calls = ARRAY(
        SELECT coalesce(c.before, 0) + coalesce(c.more, 0)
        FROM ROWS FROM (
            -- After a pause, or when nobody was there to take a step, what was told is old.
            unnest(CASE WHEN l.stepped_at > now - make_interval(secs => 2 * p_step_seconds)
                THEN l.calls ELSE '{}' END),
            unnest(p_calls)
        ) WITH ORDINALITY AS c (before, more, bucket)
        ORDER BY c.bucket
    )
    RETURNING * INTO load;
    IF load.stepped_at > now - make_interval(secs => p_step_seconds) OR room.paused THEN
        RETURN room.adaptive_cap;
    END IF;
    SELECT count(*) INTO active FROM place AS p WHERE p.room_id = p_room_id AND p.state = 'admitted';
    UPDATE waiting_room SET adaptive_cap = waiting_room_adapted_cap(
        room.adaptive_cap, waiting_room_quantile(load.calls, p_bounds_ms, 0.95),
        active >= room.adaptive_cap, (room.policy ->> 'min_active')::int,
        (room.policy ->> 'max_active')::int, (room.policy ->> 'target_p95_ms')::double precision
    )
    WHERE room_id = p_room_id
    RETURNING adaptive_cap INTO room.adaptive_cap;
    UPDATE room_load SET calls = '{}', stepped_at = now WHERE room_id = p_room_id;
    RETURN room.adaptive_cap;
END $$;

-- Calls the next people of one line, strictly in serving order, as far as the bounds allow. First it
-- finishes the places whose time is over: a slot is free only then, never by the clock alone, since a
-- hold in flight may just be extending a session (its row is locked: it is passed over and still
-- counts). p_cap bounds how many are called and not finished, and so does the present cap of an
-- adaptive policy; p_rate admissions may happen in any window of p_rate_seconds, spread over it.
-- NULL: no such bound. p_policy_version names the policy that the bounds were made from.
-- outcome: done; stale_policy (the room has another policy by now: nothing was done); not_found.
-- more: somebody still waits.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_admit(
    p_room_id int, p_policy_version int, p_cap int, p_rate int, p_rate_seconds double precision
)
RETURNS TABLE (outcome text, admitted int, expired int, active int, more boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    -- How much unused allowance a rate policy may make up for after a pause.
    catch_up CONSTANT interval := interval '200 milliseconds';
    -- Most people called at once, so that the room isn't locked for long.
    most CONSTANT int := 5000;
    room waiting_room;
    now timestamptz;
    per_person interval;
    cap int;
    free bigint;
    numbers int[];
    first int;
    last int;
BEGIN
    outcome := 'done';
    admitted := 0;
    expired := 0;
    -- Lines where nothing is to be done are looked at often: without a lock, so that nothing has to
    -- reach the disk. What changes meanwhile is seen at the next look.
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
    now := clock_timestamp();
    more := waiting_room_waiting(
        room.issued, room.serving, room.left_count, room.left_passed
    ) > 0;
    IF room.policy_version = p_policy_version AND NOT (more AND waiting_room_is_open(room, now)) THEN
        SELECT count(*), array_agg(p.number) FILTER (WHERE p.expires_at <= now) INTO active, numbers
        FROM place AS p WHERE p.room_id = p_room_id AND p.state = 'admitted';
        IF numbers IS NULL THEN
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;

    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    IF NOT FOUND OR room.policy_version <> p_policy_version THEN
        RETURN QUERY SELECT CASE WHEN room.room_id IS NULL THEN 'not_found' ELSE 'stale_policy' END,
            0, 0, 0, false;
        RETURN;
    END IF;
    now := clock_timestamp();

    -- One pass over those who are in: many, and after a draw all over the table. Nobody comes in
    -- without the room's lock; who pays meanwhile is still counted.
    SELECT count(*), array_agg(p.number) FILTER (WHERE p.expires_at <= now) INTO active, numbers
    FROM place AS p WHERE p.room_id = p_room_id AND p.state = 'admitted';
    IF numbers IS NOT NULL THEN
        WITH due AS MATERIALIZED (
            SELECT p.number FROM (SELECT n FROM unnest(numbers) AS n ORDER BY n) AS k (number)
            CROSS JOIN LATERAL (
                SELECT p.number FROM place AS p
                WHERE p.room_id = p_room_id AND p.number = k.number AND p.state = 'admitted'
                    AND p.expires_at <= now
                FOR NO KEY UPDATE SKIP LOCKED
            ) AS p
        )
        UPDATE place AS p SET state = 'finished', reason = 'expired', finished_at = now
        FROM due WHERE p.room_id = p_room_id AND p.number = due.number;
        GET DIAGNOSTICS expired = ROW_COUNT;
        active := active - expired;
    END IF;
    -- A payment may have ended its place since the clock was read, without the room's lock: whoever
    -- gets that slot gets it after that moment.
    now := clock_timestamp();

    more := waiting_room_waiting(
        room.issued, room.serving, room.left_count, room.left_passed
    ) > 0;
    cap := least(p_cap, room.adaptive_cap);
    free := CASE
        WHEN more AND waiting_room_is_open(room, now)
            THEN least(greatest(coalesce(cap - active, most), 0), most)
        ELSE 0
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

    IF free = 0 THEN
        RETURN NEXT;
        RETURN;
    END IF;
    -- Nobody leaves a line without the room's lock: whoever waits here still does below.
    IF room.serving < room.entrants THEN
        SELECT array_agg(w.number), min(w.position), max(w.position) INTO numbers, first, last
        FROM (
            SELECT d.number, d.position FROM drawn AS d
            CROSS JOIN LATERAL (
                SELECT FROM place AS p
                WHERE p.room_id = p_room_id AND p.number = d.number AND p.state = 'waiting'
                OFFSET 0
            ) AS p
            WHERE d.room_id = p_room_id AND d.position > room.serving
            ORDER BY d.position LIMIT free
        ) AS w;
    ELSE
        SELECT array_agg(w.number), min(w.number), max(w.number) INTO numbers, first, last
        FROM (
            SELECT p.number FROM place AS p
            WHERE p.room_id = p_room_id AND p.number > room.serving AND p.state = 'waiting'
            ORDER BY p.number LIMIT free
        ) AS w;
    END IF;
    IF numbers IS NULL THEN
        -- All who were drawn and still stood there have left: the next call goes on behind them.
        UPDATE waiting_room
        SET serving = room.entrants, left_passed = left_passed + room.entrants - room.serving
        WHERE room_id = p_room_id;
        RETURN NEXT;
        RETURN;
    END IF;
    PERFORM waiting_room_lock(array_fill(p_room_id, ARRAY[cardinality(numbers)]), numbers);
    UPDATE place AS p
    SET state = 'admitted', admitted_at = now,
        expires_at = now + make_interval(secs => room.claim_seconds)
    FROM unnest(numbers) AS k (number) WHERE p.room_id = p_room_id AND p.number = k.number;
    admitted := cardinality(numbers);
    active := active + admitted;
    INSERT INTO admission
        (room_id, first_position, last_position, admitted, active, cap, policy_version, admitted_at)
    VALUES (p_room_id, first, last, admitted, active, cap, p_policy_version, now);
    UPDATE waiting_room AS r
    SET serving = last, called = r.called + admitted,
        left_passed = r.left_passed + last - room.serving - admitted,
        paced_until = CASE WHEN p_rate IS NULL THEN r.paced_until
            ELSE room.paced_until + admitted * per_person END
    WHERE r.room_id = p_room_id
    RETURNING waiting_room_waiting(r.issued, r.serving, r.left_count, r.left_passed) > 0 INTO more;
    RETURN NEXT;
END $$;

-- Ends those who still wait in a line that has closed: the next p_limit of them behind p_after. They
-- are counted out like leavers: a line may be opened again, and then people stand behind them.
-- Returns the last number that was ended; NULL when nobody is left.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_close(p_room_id int, p_after int, p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
    now timestamptz;
    n int;
    last int;
BEGIN
    -- A line that has closed is looked at again and again: the first time without its lock.
    FOR look IN 1..2 LOOP
        IF look = 1 THEN
            SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
        ELSE
            SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
        END IF;
        now := clock_timestamp();
        IF NOT FOUND OR room.closes_at IS NULL OR room.closes_at > now
            OR waiting_room_waiting(room.issued, room.serving, room.left_count, room.left_passed) = 0
        THEN
            RETURN NULL;
        END IF;
    END LOOP;
    IF room.entrants IS NULL THEN
        p_after := greatest(p_after, room.serving); -- nobody waits among those who were called
    END IF;
    WITH rest AS MATERIALIZED (
        SELECT p.number FROM place AS p
        WHERE p.room_id = p_room_id AND p.number > p_after AND p.state = 'waiting'
        ORDER BY p.number LIMIT p_limit
        FOR NO KEY UPDATE
    ),
    ended AS (
        UPDATE place AS p
        SET state = 'finished', reason = 'expired', finished_at = now,
            left_seq = room.left_count + rest.turn
        FROM (SELECT number, row_number() OVER (ORDER BY number) AS turn FROM rest) AS rest
        WHERE p.room_id = p_room_id AND p.number = rest.number
    )
    SELECT count(*), max(number) INTO n, last FROM rest;
    UPDATE waiting_room SET left_count = room.left_count + n WHERE room_id = p_room_id AND n > 0;
    RETURN last;
END $$;
