-- The observed and the published pace of a line. Conventions as in
-- waiting_room/functions.sql.
--
-- Two hazards are estimated, each as a number of events over the person-seconds in which they happened:
-- admitted users finish (paid, left or expired), waiting users leave. The constants are chosen by
-- benchmarks/forecast.py, which runs these functions.

-- Returns the relative standard error of an estimated hazard: the prior's error for the part that is
-- still prior, and counting noise for the rest, at `dispersion` times the variance of a Poisson process.
CREATE OR REPLACE FUNCTION waiting_room_spread(
    counted double precision, prior double precision, prior_spread double precision,
    dispersion double precision
)
RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN sqrt(
    (prior / counted * prior_spread) ^ 2 + dispersion * greatest(counted - prior, 0) / counted ^ 2
);

-- Returns the pace of a line that was never observed: sessions last a quarter of the longest time, and
-- hardly any user leaves. The prior grows with the cap, because users who start together don't finish
-- at random: their session length can be observed only after about one session.
CREATE OR REPLACE FUNCTION waiting_room_first_pace(
    p_room_id int, p_now timestamptz, p_called int, p_active int, p_waiting int, p_left_count int,
    p_cap int, p_longest_seconds double precision
)
RETURNS line_pace LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    pace line_pace;
BEGIN
    pace.room_id := p_room_id;
    pace.looked_at := p_now;
    pace.called := p_called;
    pace.active := p_active;
    pace.waiting := p_waiting;
    pace.left_count := p_left_count;
    pace.finishes := 2 + 0.5 * coalesce(p_cap, 0);
    pace.active_seconds := pace.finishes * p_longest_seconds / 4;
    pace.prior_finishes := pace.finishes;
    pace.departures := 1;
    pace.waiting_seconds := 36000;
    pace.prior_departures := 1;
    pace.samples := 0;
    RETURN waiting_room_published(pace, p_now);
END $$;

-- Returns the pace with everything observed so far published.
CREATE OR REPLACE FUNCTION waiting_room_published(pace line_pace, p_now timestamptz)
RETURNS line_pace LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    widest CONSTANT double precision := 2;
BEGIN
    pace.finish_hazard := greatest(pace.finishes / pace.active_seconds, 1e-9);
    pace.finish_spread := least(
        waiting_room_spread(pace.finishes, pace.prior_finishes, 0.8, 0.6), widest
    );
    pace.leave_hazard := greatest(pace.departures / pace.waiting_seconds, 1e-12);
    pace.leave_spread := least(
        waiting_room_spread(pace.departures, pace.prior_departures, 1.5, 1), widest
    );
    pace.published_at := p_now;
    RETURN pace;
END $$;

-- Returns the remaining weight of a prior: 0 once it is negligible, since a product too small for its type is
-- an error.
CREATE OR REPLACE FUNCTION waiting_room_faded(prior double precision, kept double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE
RETURN CASE WHEN prior > 1e-9 THEN prior * kept ELSE 0 END;

-- Returns the pace after an observation of the line. Evidence fades: of finishes over about four sessions,
-- or fifty finishes where the cap is small; of leaving over ten minutes. After a gap, such as a restart,
-- what happened in the gap is ignored.
--
-- The published pace stays until the observed hazard differs by more than chance explains, so that
-- chance doesn't move a forecast. A faster pace is published sooner than a slower one. A spread may
-- narrow at any time.
CREATE OR REPLACE FUNCTION waiting_room_pace_after(
    pace line_pace, p_now timestamptz, p_called int, p_active int, p_waiting int, p_left_count int,
    p_cap int, p_longest_seconds double precision
)
RETURNS line_pace LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    gap_seconds CONSTANT double precision := 10;
    leaving_fades_seconds CONSTANT double precision := 600;
    seconds double precision := extract(epoch FROM p_now - pace.looked_at);
    fresh line_pace;
    slots int := greatest(p_cap, p_active, 1);
    in_seconds double precision := (pace.active + p_active) / 2.0 * seconds;
    fades_seconds double precision;
    kept double precision;
    faster double precision;
    impatience double precision;
BEGIN
    IF seconds <= gap_seconds THEN
        fades_seconds := slots * greatest(4, 50.0 / slots)
            * least(pace.active_seconds / pace.finishes, p_longest_seconds);
        kept := exp(-least(in_seconds / fades_seconds, 100));
        pace.finishes := greatest(pace.finishes * kept, 1e-6)
            + greatest((p_called - pace.called) - (p_active - pace.active), 0);
        pace.active_seconds := pace.active_seconds * kept + in_seconds;
        pace.prior_finishes := waiting_room_faded(pace.prior_finishes, kept);
        IF pace.waiting > 0 OR p_waiting > 0 THEN
            kept := exp(-seconds / leaving_fades_seconds);
            pace.departures := greatest(pace.departures * kept, 1e-6)
                + greatest(p_left_count - pace.left_count, 0);
            pace.waiting_seconds := pace.waiting_seconds * kept
                + (pace.waiting + p_waiting) / 2.0 * seconds;
            pace.prior_departures := waiting_room_faded(pace.prior_departures, kept);
        END IF;
    END IF;
    pace.looked_at := p_now;
    pace.called := p_called;
    pace.active := p_active;
    pace.waiting := p_waiting;
    pace.left_count := p_left_count;

    fresh := waiting_room_published(pace, p_now);
    faster := ln(fresh.finish_hazard / pace.finish_hazard);
    impatience := ln(fresh.leave_hazard / pace.leave_hazard);
    IF faster > greatest(0.08, 1.5 * fresh.finish_spread)
        OR faster < -greatest(0.12, 2.5 * fresh.finish_spread)
        OR abs(impatience) > greatest(0.25, 2.5 * fresh.leave_spread)
    THEN
        RETURN fresh;
    END IF;
    pace.finish_spread := least(pace.finish_spread, fresh.finish_spread);
    pace.leave_spread := least(pace.leave_spread, fresh.leave_spread);
    RETURN pace;
END $$;

-- Step of waiting_room_observe: judges up to 500 forecasts whose positions have been served, by the wait
-- until the admission; `gone` where the place left before it.
CREATE OR REPLACE FUNCTION waiting_room_judge_forecasts(p_room_id int, p_serving int, p_entrants int)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE forecast AS f
    SET gone = due.admitted_at IS NULL, waited_seconds = CASE WHEN due.admitted_at IS NOT NULL
        THEN greatest(0, extract(epoch FROM due.admitted_at - f.made_at)) END
    FROM (
        SELECT k.sample, p.admitted_at FROM (
            SELECT f.sample, f.position FROM forecast AS f
            WHERE f.room_id = p_room_id AND f.position <= p_serving
                AND f.waited_seconds IS NULL AND NOT f.gone
            ORDER BY f.position LIMIT 500
        ) AS k
        CROSS JOIN LATERAL (
            SELECT CASE WHEN k.position <= p_entrants THEN (
                SELECT d.number FROM drawn AS d WHERE d.room_id = p_room_id AND d.position = k.position
            ) ELSE k.position END AS number
        ) AS n
        CROSS JOIN LATERAL (
            SELECT p.admitted_at FROM place AS p WHERE p.room_id = p_room_id AND p.number = n.number
            OFFSET 0
        ) AS p
    ) AS due
    WHERE f.room_id = p_room_id AND f.sample = due.sample;
END $$;

-- Step of waiting_room_observe: stores the forecasts for positions that still wait, numbered behind
-- p_samples, and deletes all but the newest p_keep. Returns the last sample number.
CREATE OR REPLACE FUNCTION waiting_room_store_forecasts(
    p_room_id int, p_samples int, p_serving int, p_positions int[], p_p50s int[], p_p90s int[],
    p_keep int, p_now timestamptz
)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    stored int;
BEGIN
    INSERT INTO forecast (room_id, sample, position, made_at, p50_seconds, p90_seconds)
    SELECT p_room_id, p_samples + row_number() OVER (ORDER BY k.item), k.position, p_now, k.p50, k.p90
    FROM unnest(p_positions, p_p50s, p_p90s) WITH ORDINALITY AS k (position, p50, p90, item)
    WHERE k.position > p_serving;
    GET DIAGNOSTICS stored = ROW_COUNT;
    DELETE FROM forecast WHERE room_id = p_room_id AND sample <= p_samples + stored - p_keep;
    RETURN p_samples + stored;
END $$;

-- Observes a line, once a second over all processes: counts, publishes the pace, judges earlier forecasts
-- and stores those that places at p_positions get now; the newest p_keep are kept. Locks only the
-- line's row in line_pace. Returns whether it observed.
-- hot
CREATE OR REPLACE FUNCTION waiting_room_observe(
    p_room_id int, p_positions int[], p_p50s int[], p_p90s int[], p_keep int
)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pace line_pace;
    now timestamptz;
    room record;
BEGIN
    SELECT * INTO pace FROM line_pace WHERE room_id = p_room_id FOR NO KEY UPDATE SKIP LOCKED;
    now := clock_timestamp();
    IF pace.looked_at > now - interval '1 second' OR pace.room_id IS NULL
        AND EXISTS (SELECT FROM line_pace WHERE room_id = p_room_id) -- another process observes it now
    THEN
        RETURN false;
    END IF;
    -- One statement, so that the counts agree with each other.
    SELECT r.called, r.serving, r.left_count, r.entrants,
        waiting_room_waiting(r.issued, r.serving, r.left_count, r.left_passed) AS waiting,
        coalesce(r.adaptive_cap, (r.policy ->> 'max_active')::int) AS cap,
        r.claim_seconds + r.session_seconds AS longest_seconds,
        (
            SELECT count(*)::int FROM place AS p
            WHERE p.room_id = r.room_id AND p.state = 'admitted'
        ) AS active
    INTO room FROM waiting_room AS r WHERE r.room_id = p_room_id;
    IF pace.room_id IS NULL THEN
        INSERT INTO line_pace
        SELECT f.* FROM waiting_room_first_pace(
            p_room_id, now, room.called, room.active, room.waiting, room.left_count, room.cap,
            room.longest_seconds
        ) AS f
        WHERE room.called IS NOT NULL
        ON CONFLICT DO NOTHING;
        RETURN FOUND;
    END IF;
    PERFORM waiting_room_judge_forecasts(p_room_id, room.serving, room.entrants);
    pace.samples := waiting_room_store_forecasts(
        p_room_id, pace.samples, room.serving, p_positions, p_p50s, p_p90s, p_keep, now
    );
    pace := waiting_room_pace_after(
        pace, now, room.called, room.active, room.waiting, room.left_count, room.cap,
        room.longest_seconds
    );
    UPDATE line_pace
    SET looked_at = pace.looked_at, called = pace.called, active = pace.active,
        waiting = pace.waiting, left_count = pace.left_count, finishes = pace.finishes,
        active_seconds = pace.active_seconds, prior_finishes = pace.prior_finishes,
        departures = pace.departures, waiting_seconds = pace.waiting_seconds,
        prior_departures = pace.prior_departures, finish_hazard = pace.finish_hazard,
        finish_spread = pace.finish_spread, leave_hazard = pace.leave_hazard,
        leave_spread = pace.leave_spread, published_at = pace.published_at, samples = pace.samples
    WHERE room_id = p_room_id;
    RETURN true;
END $$;
