-- The cap of an adaptive policy. Conventions as in functions.sql.

-- Returns the cap after one step of an adaptive policy: additive increase, multiplicative decrease
-- (Chiu and Jain, 1989: of the linear rules, the one that converges to a fair and efficient point). If
-- calls were slower than the target, the cap falls by a third; else it grows by a fiftieth of its range,
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

-- Returns a quantile of calls counted by bucket: the upper bound of its bucket. NULL without calls;
-- infinity above the last bound.
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

-- Adds the measurements of one process since its last report (calls by bucket), and takes the next step
-- of the line's adaptive policy if p_step_seconds have passed since the last step of any process.
-- Returns the cap; NULL if the policy isn't this version, or isn't adaptive.
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
            -- After a pause, or a time in which no process was running, earlier reports are outdated.
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

-- Runs waiting_room_adapt for many lines, in the order of the rooms, without waiting for a lock. Returns the rooms
-- that are locked.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_adapt_unlocked(
    p_rooms int[], p_policy_versions int[], p_calls bigint[], p_bounds_ms double precision[],
    p_step_seconds double precision
)
RETURNS SETOF int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    k record;
BEGIN
    FOR k IN
        SELECT * FROM unnest(p_rooms, p_policy_versions) AS k (room_id, policy_version) ORDER BY room_id
    LOOP
        PERFORM FROM waiting_room AS w WHERE w.room_id = k.room_id FOR NO KEY UPDATE SKIP LOCKED;
        IF FOUND THEN
            PERFORM waiting_room_adapt(k.room_id, k.policy_version, p_calls, p_bounds_ms, p_step_seconds);
        ELSE
            RETURN NEXT k.room_id;
        END IF;
    END LOOP;
END $$;
