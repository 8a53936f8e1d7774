-- The rest of the waiting room: the draw, the adaptive cap, the counts for a forecast
-- depends: 0001_the_main_job

-- migrate: apply

ALTER TABLE waiting_room
    -- The serving order of places that join before opening; later places are served by number.
    ADD line_order text NOT NULL DEFAULT 'arrival' CHECK (line_order IN ('arrival', 'draw')),
    -- The number of drawn places: the numbers 1..entrants. NULL until the draw.
    ADD entrants int CHECK (entrants BETWEEN 0 AND issued),
    -- The number of all admissions so far.
    ADD called int NOT NULL DEFAULT 0,
    -- How many of the places that left while waiting were at or before `serving`.
    ADD left_passed int NOT NULL DEFAULT 0,
    -- The current cap of an adaptive policy.
    ADD adaptive_cap int CHECK (adaptive_cap >= 1);

UPDATE waiting_room AS w SET called = a.called, left_passed = w.serving - a.called
FROM (SELECT room_id, sum(admitted) AS called FROM admission GROUP BY room_id) AS a
WHERE a.room_id = w.room_id;

ALTER TABLE waiting_room
    ADD CHECK (called + left_passed = serving),
    ADD CHECK (left_passed <= left_count);

-- Their successors have other parameters.
DROP FUNCTION IF EXISTS waiting_room_close(int, int);
DROP FUNCTION IF EXISTS
    waiting_room_configure(uuid, jsonb, int, int, timestamptz, timestamptz);
DROP FUNCTION IF EXISTS concert_create(
    uuid, bigint, text, text, text, text, text, int, int, jsonb, int, int, timestamptz, timestamptz
);

-- `serving` is the last admitted place in serving order: a number, unless the line was drawn.
ALTER TABLE admission RENAME first_number TO first_position;
ALTER TABLE admission RENAME last_number TO last_position;
-- The cap of this admission; NULL without a cap.
ALTER TABLE admission ADD cap int CHECK (active <= cap);

-- The draw of a line: see docs/reference/draw.md for the rule. The commitment is public from the
-- moment that the draw is set up, the seed once the line is drawn.
CREATE TABLE draw (
    room_id int PRIMARY KEY REFERENCES waiting_room,
    seed text NOT NULL CHECK (seed ~ '^[0-9a-f]{64}$'),
    commitment text NOT NULL CHECK (commitment = encode(sha256(convert_to(seed, 'UTF8')), 'hex')),
    committed_at timestamptz NOT NULL,
    -- Set at opening, when the entries close: the numbers 1..entrants are drawn.
    entrants int CHECK (entrants >= 0),
    digest text CHECK (digest ~ '^[0-9a-f]{64}$'),
    drawn_at timestamptz,
    CHECK ((digest IS NULL) = (drawn_at IS NULL)),
    CHECK (drawn_at IS NULL OR entrants IS NOT NULL)
);

-- The result of a draw: the position of each number.
CREATE TABLE drawn (
    room_id int NOT NULL,
    position int NOT NULL,
    number int NOT NULL,
    PRIMARY KEY (room_id, position)
);

-- The measurements of an adaptive policy since its last step, by all processes together: the number of
-- calls by duration (waiting_room/latency_histogram.py).
CREATE TABLE room_load (
    room_id int PRIMARY KEY REFERENCES waiting_room,
    calls bigint[] NOT NULL DEFAULT '{}',
    stepped_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- migrate: rollback

DROP TABLE room_load, drawn, draw;
ALTER TABLE admission DROP cap;
ALTER TABLE admission RENAME last_position TO last_number;
ALTER TABLE admission RENAME first_position TO first_number;
ALTER TABLE waiting_room DROP line_order, DROP entrants, DROP called, DROP left_passed,
    DROP adaptive_cap;
