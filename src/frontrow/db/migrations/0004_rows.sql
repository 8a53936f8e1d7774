-- Sections and their rows
-- depends: 0003_forecast

-- migrate: apply

-- The blocks of seats of a show, in order: its numbers run 1..n through them, row by row. A plain show
-- is one block without a name.
CREATE TABLE show_section (
    show_id uuid NOT NULL REFERENCES show,
    ordinal int NOT NULL CHECK (ordinal >= 1),
    name text CHECK (length(name) BETWEEN 1 AND 100),
    price bigint NOT NULL CHECK (price BETWEEN 1 AND 1000000000),
    first_number int NOT NULL CHECK (first_number >= 1),
    last_number int NOT NULL,
    seats_per_row int NOT NULL CHECK (seats_per_row >= 1),
    -- Where the choice of best seats starts its search, and since when. A hint only: it never excludes a
    -- free seat.
    searched_at timestamptz,
    hints int[],
    PRIMARY KEY (show_id, ordinal),
    CHECK (last_number >= first_number),
    CHECK ((last_number - first_number + 1) % seats_per_row = 0),
    CHECK ((searched_at IS NULL) = (hints IS NULL))
) WITH (fillfactor = 50);

-- In existing shows, adjacent seats with one name and price become a section of one row.
INSERT INTO show_section (show_id, ordinal, name, price, first_number, last_number, seats_per_row)
SELECT b.show_id, row_number() OVER (PARTITION BY b.show_id ORDER BY min(b.number)), b.section, b.price,
    min(b.number), max(b.number), count(*)
FROM (
    SELECT s.*, s.number - row_number() OVER (
        PARTITION BY s.show_id, s.section, s.price ORDER BY s.number
    ) AS block
    FROM seat AS s
) AS b
GROUP BY b.show_id, b.section, b.price, b.block;

-- Its successor has rows as parameters.
DROP FUNCTION IF EXISTS concert_add_show(
    uuid, uuid, bigint, timestamptz, date, timestamptz, text[], bigint[], int[]
);

-- migrate: rollback

DROP TABLE show_section;
