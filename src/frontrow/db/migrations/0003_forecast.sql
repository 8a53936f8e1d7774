-- The forecast of a wait: a line's pace, and the quality of the forecasts
-- depends: 0002_the_waiting_room

-- migrate: apply

-- A line's pace: the last observation, the evidence so far, and the published rates. Not in waiting_room,
-- whose rows are locked for every join, and without a foreign key to it: an observation locks nothing of
-- the line. Old evidence fades.
CREATE TABLE line_pace (
    room_id int PRIMARY KEY,
    -- The last observation: its time, and the line then (as in waiting_room; active: admitted, unfinished).
    looked_at timestamptz NOT NULL,
    called int NOT NULL,
    active int NOT NULL,
    waiting int NOT NULL,
    left_count int NOT NULL,
    -- Finished places, and the time of all active places, in place-seconds. They begin with a prior, of
    -- which some finishes are left.
    finishes double precision NOT NULL CHECK (finishes > 0),
    active_seconds double precision NOT NULL CHECK (active_seconds > 0),
    prior_finishes double precision NOT NULL CHECK (prior_finishes >= 0),
    -- Places that left, and the time of all waiting places, in place-seconds; likewise.
    departures double precision NOT NULL CHECK (departures > 0),
    waiting_seconds double precision NOT NULL CHECK (waiting_seconds > 0),
    prior_departures double precision NOT NULL CHECK (prior_departures >= 0),
    -- The inputs of forecasts: finishes per active place and second, leaves per waiting place and second,
    -- and their relative standard errors.
    finish_hazard double precision NOT NULL CHECK (finish_hazard > 0),
    finish_spread double precision NOT NULL CHECK (finish_spread >= 0),
    leave_hazard double precision NOT NULL CHECK (leave_hazard > 0),
    leave_spread double precision NOT NULL CHECK (leave_spread >= 0),
    published_at timestamptz NOT NULL,
    -- The last sample number.
    samples int NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- A sample of the forecasts for a position, and the actual waits.
CREATE TABLE forecast (
    room_id int NOT NULL,
    -- Gapless in a room; the newest are kept.
    sample int NOT NULL,
    position int NOT NULL,
    made_at timestamptz NOT NULL,
    p50_seconds int NOT NULL CHECK (p50_seconds >= 0),
    p90_seconds int NOT NULL CHECK (p90_seconds >= p50_seconds),
    -- The wait until the place was admitted; NULL until then.
    waited_seconds double precision CHECK (waited_seconds >= 0),
    -- The place was passed without an admission: its user had left.
    gone boolean NOT NULL DEFAULT false,
    PRIMARY KEY (room_id, sample),
    CHECK (NOT gone OR waited_seconds IS NULL)
) WITH (fillfactor = 80);
CREATE INDEX forecast_pending ON forecast (room_id, position)
    WHERE waited_seconds IS NULL AND NOT gone;

-- migrate: rollback

-- With the functions that have its rows as parameters.
DROP TABLE line_pace CASCADE;
DROP TABLE forecast;
