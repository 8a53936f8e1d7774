-- The best seats, and a limit on holds that aren't paid
-- depends: 0012_cancellations

-- migrate: apply

-- Hints don't belong in rows that other statements read.
ALTER TABLE show_section DROP searched_at, DROP hints;
CREATE INDEX show_section_by_name ON show_section (show_id, name);

-- Where the search for a number of adjacent seats starts in a section: the ranks before which there was no
-- place without a lone seat, and none with one. A hint only, so it may be lost in a crash; written under
-- the section's lock.
CREATE UNLOGGED TABLE section_search (
    show_id uuid NOT NULL,
    ordinal int NOT NULL,
    count int NOT NULL,
    best_from int NOT NULL,
    any_from int NOT NULL,
    -- The last search from the front.
    searched_at timestamptz NOT NULL,
    PRIMARY KEY (show_id, ordinal, count)
) WITH (fillfactor = 50);

-- The unpaid holds of a user, the latest first.
CREATE INDEX reservation_let_go ON reservation (user_id, concert_id, closed_at)
    WHERE state IN ('released', 'expired');

-- Its successor counts them.
DROP FUNCTION IF EXISTS reservation_hold(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], int[], int[], int[]
);

-- migrate: rollback

DROP TABLE section_search;
DROP INDEX reservation_let_go, show_section_by_name;
ALTER TABLE show_section ADD searched_at timestamptz, ADD hints int[];
