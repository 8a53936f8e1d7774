-- Admission: which waiting places are admitted, and when. Conventions as in functions.sql.

-- Returns the number of waiting places of a line: the places behind `serving` that have not left.
CREATE OR REPLACE FUNCTION waiting_room_waiting(
    issued int, serving int, left_count int, left_passed int
)
RETURNS int LANGUAGE sql IMMUTABLE
RETURN issued - serving - (left_count - left_passed);

-- Whether a line admits now: not before it opens or is drawn, not once it is closed, not while paused.
CREATE OR REPLACE FUNCTION waiting_room_is_open(room waiting_room, p_now timestamptz)
RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN NOT (
    (room).paused OR coalesce(p_now < (room).opens_at, false)
    OR coalesce((room).closes_at <= p_now, false)
    OR (room).line_order = 'draw' AND (room).entrants IS NULL
);

-- Step of waiting_room_admit: counts the admitted places of a line, and lists those that are overdue.
-- One pass, since the admitted places of a long or drawn line are spread over the whole table.
CREATE OR REPLACE FUNCTION waiting_room_count_admitted(
    p_room_id int, p_now timestamptz, OUT active int, OUT overdue int[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT count(*), array_agg(p.number) FILTER (WHERE p.expires_at <= p_now) INTO active, overdue
    FROM place AS p WHERE p.room_id = p_room_id AND p.state = 'admitted';
END $$;

-- Step of waiting_room_admit: finishes overdue places. A place whose row is locked is skipped: a hold may
-- just be extending its session. Returns the number of finished places.
CREATE OR REPLACE FUNCTION waiting_room_expire(p_room_id int, p_numbers int[], p_now timestamptz)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    expired int;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT p.number FROM (SELECT n FROM unnest(p_numbers) AS n ORDER BY n) AS k (number)
        CROSS JOIN LATERAL (
            SELECT p.number FROM place AS p
            WHERE p.room_id = p_room_id AND p.number = k.number AND p.state = 'admitted'
                AND p.expires_at <= p_now
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS p
    )
    UPDATE place AS p SET state = 'finished', reason = 'expired', finished_at = p_now
    FROM due WHERE p.room_id = p_room_id AND p.number = due.number;
    GET DIAGNOSTICS expired = ROW_COUNT;
    RETURN expired;
END $$;

-- Step of waiting_room_admit: limits the slots to the number that a rate policy allows now. paced_until is the
-- time up to which the allowance is used; unused allowance is kept for `catch_up` at most.
CREATE OR REPLACE FUNCTION waiting_room_limit_rate(
    p_room_id int, p_rate int, p_rate_seconds double precision, p_now timestamptz,
    INOUT slots int, INOUT paced_until timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    catch_up CONSTANT interval := interval '200 milliseconds';
    per_place interval := make_interval(secs => p_rate_seconds / p_rate);
BEGIN
    paced_until := greatest(
        coalesce(paced_until, '-infinity'), p_now - greatest(catch_up, per_place)
    );
    SELECT greatest(0, least(
        slots,
        floor(extract(epoch FROM p_now - paced_until) * p_rate / p_rate_seconds + 1e-6)::int,
        p_rate - coalesce(sum(a.admitted), 0)
    ))
    INTO slots
    FROM admission AS a
    WHERE a.room_id = p_room_id AND a.admitted_at > p_now - make_interval(secs => p_rate_seconds);
END $$;

-- Step of waiting_room_admit: the next waiting places in serving order, with their first and last position.
-- No numbers: none of the remaining entrants of a draw is still waiting. The room is locked, so none of
-- them can leave before they are admitted.
CREATE OR REPLACE FUNCTION waiting_room_next(
    room waiting_room, p_slots int, OUT numbers int[], OUT first int, OUT last int
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF room.serving < room.entrants THEN
        SELECT array_agg(w.number), min(w.position), max(w.position) INTO numbers, first, last
        FROM (
            SELECT d.number, d.position FROM drawn AS d
            CROSS JOIN LATERAL (
                SELECT FROM place AS p
                WHERE p.room_id = room.room_id AND p.number = d.number AND p.state = 'waiting'
                OFFSET 0
            ) AS p
            WHERE d.room_id = room.room_id AND d.position > room.serving
            ORDER BY d.position LIMIT p_slots
        ) AS w;
    ELSE
        SELECT array_agg(w.number), min(w.number), max(w.number) INTO numbers, first, last
        FROM (
            SELECT p.number FROM place AS p
            WHERE p.room_id = room.room_id AND p.number > room.serving AND p.state = 'waiting'
            ORDER BY p.number LIMIT p_slots
        ) AS w;
    END IF;
END $$;

-- Step of waiting_room_admit: admits the places with these numbers, records the admission, and moves
-- `serving` on. Without numbers `serving` moves past the entrants of the draw. p_per_place is the part
-- of a rate policy's allowance that a place uses up. Returns whether places still wait.
CREATE OR REPLACE FUNCTION waiting_room_apply_admission(
    room waiting_room, p_numbers int[], p_first int, p_last int, p_active int, p_cap int,
    p_per_place interval, p_now timestamptz
)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    admitted int := coalesce(cardinality(p_numbers), 0);
    last int := coalesce(p_last, room.entrants);
    more boolean;
BEGIN
    IF admitted > 0 THEN
        PERFORM waiting_room_lock(array_fill(room.room_id, ARRAY[admitted]), p_numbers);
        UPDATE place AS p
        SET state = 'admitted', admitted_at = p_now,
            expires_at = p_now + make_interval(secs => room.claim_seconds)
        FROM unnest(p_numbers) AS k (number)
        WHERE p.room_id = room.room_id AND p.number = k.number;
        INSERT INTO admission
            (room_id, first_position, last_position, admitted, active, cap, policy_version, admitted_at)
        VALUES (
            room.room_id, p_first, last, admitted, p_active + admitted, p_cap, room.policy_version,
            p_now
        );
    END IF;
    UPDATE waiting_room AS r
    SET serving = last, called = r.called + admitted,
        left_passed = r.left_passed + last - room.serving - admitted,
        paced_until = coalesce(room.paced_until + admitted * p_per_place, r.paced_until)
    WHERE r.room_id = room.room_id
    RETURNING waiting_room_waiting(r.issued, r.serving, r.left_count, r.left_passed) > 0 INTO more;
    RETURN more;
END $$;

-- Admits the next waiting places of one line, strictly in serving order, within the bounds of its policy.
-- First it finishes overdue places: a slot is free only then, never by the clock alone, since a hold in
-- flight may just be extending a session (a place whose row is locked is skipped and still counts).
-- p_cap limits the admitted places, and so does the present cap of an adaptive policy; at most p_rate
-- places are admitted in any window of p_rate_seconds, spread over it. NULL: no such bound.
-- p_policy_version is the policy that the bounds follow from.
-- outcome: done; stale_policy (the room has another policy by now: nothing was done); not_found.
-- more: places still wait.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_admit(
    p_room_id int, p_policy_version int, p_cap int, p_rate int, p_rate_seconds double precision
)
RETURNS TABLE (outcome text, admitted int, expired int, active int, more boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    -- Limits how long the room is locked.
    most CONSTANT int := 5000;
    room waiting_room;
    now timestamptz;
    counted record;
    cap int;
    slots int := 0;
    next record;
BEGIN
    outcome := 'done';
    admitted := 0;
    expired := 0;
    -- A line without work is checked often: first without a lock, so that nothing has to reach the disk.
    -- The next check sees changes made meanwhile.
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
    now := clock_timestamp();
    more := waiting_room_waiting(room.issued, room.serving, room.left_count, room.left_passed) > 0;
    IF room.policy_version = p_policy_version AND NOT (more AND waiting_room_is_open(room, now)) THEN
        counted := waiting_room_count_admitted(p_room_id, now);
        IF counted.overdue IS NULL THEN
            active := counted.active;
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
    -- No place is admitted without the room's lock. A payment meanwhile still counts.
    counted := waiting_room_count_admitted(p_room_id, now);
    IF counted.overdue IS NOT NULL THEN
        expired := waiting_room_expire(p_room_id, counted.overdue, now);
    END IF;
    active := counted.active - expired;
    -- A payment may have finished its place since the clock was read, without the room's lock: its slot
    -- is assigned in a later round.
    now := clock_timestamp();
    more := waiting_room_waiting(room.issued, room.serving, room.left_count, room.left_passed) > 0;
    cap := least(p_cap, room.adaptive_cap);
    IF more AND waiting_room_is_open(room, now) THEN
        slots := least(greatest(coalesce(cap - active, most), 0), most);
    END IF;
    IF slots > 0 AND p_rate IS NOT NULL THEN
        SELECT * INTO slots, room.paced_until
        FROM waiting_room_limit_rate(p_room_id, p_rate, p_rate_seconds, now, slots, room.paced_until);
    END IF;
    IF slots > 0 THEN
        next := waiting_room_next(room, slots);
        more := waiting_room_apply_admission(
            room, next.numbers, next.first, next.last, active, cap,
            make_interval(secs => p_rate_seconds / p_rate), now
        );
        admitted := coalesce(cardinality(next.numbers), 0);
        active := active + admitted;
    END IF;
    RETURN NEXT;
END $$;

-- Finishes the next p_limit waiting places behind p_after in a line that has closed. They are counted
-- like leavers, because the line may be opened again with places behind them.
-- Returns the last number that was finished; NULL when no place waits.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_close(p_room_id int, p_after int, p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
    now timestamptz;
    n int;
    last int;
BEGIN
    -- A closed line is checked again and again: first without its lock.
    FOR attempt IN 1..2 LOOP
        IF attempt = 1 THEN
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
        p_after := greatest(p_after, room.serving); -- no place up to `serving` waits
    END IF;
    WITH rest AS MATERIALIZED (
        SELECT p.number FROM place AS p
        WHERE p.room_id = p_room_id AND p.number > p_after AND p.state = 'waiting'
        ORDER BY p.number LIMIT p_limit
        FOR NO KEY UPDATE
    ),
    finished AS (
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

-- Returns the lines that may admit now, of p_rooms or, if p_every, of all: users wait, the line is open, and its
-- policy leaves a slot, or will as soon as an overdue place is finished. slots: at most as many may be admitted.
-- A hint without locks: waiting_room_admit decides.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_work(p_rooms int[], p_every boolean)
RETURNS TABLE (room_id int, slots int) LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
    now CONSTANT timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    SELECT w.room_id, least(w.waiting, w.cap - a.active, w.rate)::int
    FROM (
        SELECT r FROM unnest(p_rooms) AS r
        UNION
        SELECT w.room_id FROM waiting_room AS w WHERE w.has_waiting AND p_every
    ) AS k (room_id)
    CROSS JOIN LATERAL (
        SELECT w.room_id, waiting_room_waiting(w.issued, w.serving, w.left_count, w.left_passed) AS waiting,
            least((w.policy ->> 'max_active')::int, w.adaptive_cap) AS cap,
            (w.policy ->> 'admit')::int AS rate,
            (w.policy ->> 'every_seconds')::int AS rate_seconds, w.paced_until
        FROM waiting_room AS w
        WHERE w.room_id = k.room_id AND w.has_waiting AND waiting_room_is_open(w, now)
        OFFSET 0
    ) AS w
    CROSS JOIN LATERAL (
        SELECT CASE WHEN w.cap IS NOT NULL THEN (
            SELECT count(*) FROM place AS p
            WHERE p.room_id = w.room_id AND p.state = 'admitted' AND p.expires_at > now
        ) END AS active
    ) AS a
    WHERE coalesce(a.active < w.cap, true)
        -- As in waiting_room_limit_rate.
        AND coalesce(extract(epoch FROM now - w.paced_until) * w.rate / w.rate_seconds + 1e-6 >= 1, true);
END $$;

-- Runs waiting_room_admit for many lines, in the order of the rooms. It waits for no lock, so that each line stays
-- locked no longer than this takes: a line that is locked has the outcome 'locked' and must be admitted alone.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_admit_unlocked(
    p_rooms int[], p_policy_versions int[], p_caps int[], p_rates int[], p_rate_seconds double precision[]
)
RETURNS TABLE (item int, outcome text, admitted int, expired int, active int, more boolean)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    k record;
BEGIN
    FOR k IN
        SELECT * FROM unnest(p_rooms, p_policy_versions, p_caps, p_rates, p_rate_seconds)
            WITH ORDINALITY AS k (room_id, policy_version, cap, rate, rate_seconds, item)
        ORDER BY room_id
    LOOP
        PERFORM FROM waiting_room AS w WHERE w.room_id = k.room_id FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN QUERY
            SELECT k.item::int, a.* FROM waiting_room_admit(
                k.room_id, k.policy_version, k.cap, k.rate, k.rate_seconds
            ) AS a;
        ELSE
            RETURN QUERY SELECT k.item::int, 'locked', 0, 0, 0, true;
        END IF;
    END LOOP;
END $$;
