-- The forecast of a wait: a line's pace, and how good the forecasts were
-- depends: 0002_the_waiting_room

-- migrate: apply

-- A line's pace: what was seen at the last look, the evidence so far and what is published of it. Not
-- in waiting_room, whose rows are locked for every join, and without a foreign key to it: a look locks
-- nothing of the line. Evidence fades (waiting_room_pace_after).
CREATE TABLE line_pace (
    room_id int PRIMARY KEY,
    -- The last look: when, and the line then (as in waiting_room; active: called and not finished).
    looked_at timestamptz NOT NULL,
    called int NOT NULL,
    active int NOT NULL,
    waiting int NOT NULL,
    left_count int NOT NULL,
    -- Finishes, and the time that people were in, in person-seconds. They begin with a prior, of which
    -- so many finishes are left.
    finishes double precision NOT NULL CHECK (finishes > 0),
    active_seconds double precision NOT NULL CHECK (active_seconds > 0),
    prior_finishes double precision NOT NULL CHECK (prior_finishes >= 0),
    -- People who gave up, and the time that people waited, in person-seconds; likewise.
    departures double precision NOT NULL CHECK (departures > 0),
    waiting_seconds double precision NOT NULL CHECK (waiting_seconds > 0),
    prior_departures double precision NOT NULL CHECK (prior_departures >= 0),
    -- What forecasts are made from: finishes per person in and second, departures per person waiting
    -- and second, and their relative standard errors.
    finish_hazard double precision NOT NULL CHECK (finish_hazard > 0),
    finish_spread double precision NOT NULL CHECK (finish_spread >= 0),
    leave_hazard double precision NOT NULL CHECK (leave_hazard > 0),
    leave_spread double precision NOT NULL CHECK (leave_spread >= 0),
    published_at timestamptz NOT NULL,
    -- The last sample number given.
    samples int NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Some of the forecasts, as somebody at that position would have been told, and what came of them.
CREATE TABLE forecast (
    room_id int NOT NULL,
    -- Gapless in a room; the newest are kept.
    sample int NOT NULL,
    position int NOT NULL,
    made_at timestamptz NOT NULL,
    p50_seconds int NOT NULL CHECK (p50_seconds >= 0),
    p90_seconds int NOT NULL CHECK (p90_seconds >= p50_seconds),
    -- How long it was until the place was called; NULL until then.
    waited_seconds double precision CHECK (waited_seconds >= 0),
    -- The place was passed without a call: its owner had left.
    gone boolean NOT NULL DEFAULT false,
    PRIMARY KEY (room_id, sample),
    CHECK (NOT gone OR waited_seconds IS NULL)
) WITH (fillfactor = 80);
CREATE INDEX forecast_pending ON forecast (room_id, position)
    WHERE waited_seconds IS NULL AND NOT gone;

-- migrate: rollback

-- With the functions that take its rows.
DROP TABLE line_pace CASCADE;
DROP TABLE forecast;
