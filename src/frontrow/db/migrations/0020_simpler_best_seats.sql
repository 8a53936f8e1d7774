-- The best seats without stored searches
-- depends: 0019_settings_versions

-- migrate: apply

DROP FUNCTION IF EXISTS reservation_hold(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], int[], int[], int[], int, int, boolean
);
DROP FUNCTION IF EXISTS reservation_hold_best(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], text[], int[], boolean[], int, int
);
DROP FUNCTION IF EXISTS reservation_objection(
    bigint, bigint, text, uuid, uuid, boolean, timestamptz, timestamptz, timestamptz
);
DROP FUNCTION IF EXISTS reservation_choose(
    int[], int[], boolean[], int[], int[], int[], uuid[], int[], timestamptz
);
DROP FUNCTION IF EXISTS reservation_let_go(uuid[], timestamptz);
DROP FUNCTION IF EXISTS reservation_areas(uuid[], text[]);
DROP FUNCTION IF EXISTS reservation_area_starts(int[], int);
DROP FUNCTION IF EXISTS reservation_best_start(int, int, int, int);
DROP FUNCTION IF EXISTS reservation_free_runs(uuid, int, int, int, int, int, timestamptz);
DROP FUNCTION IF EXISTS reservation_lock_sections(uuid[], int[]);
DROP FUNCTION IF EXISTS reservation_hints(uuid[], int[], int[], timestamptz);
DROP FUNCTION IF EXISTS reservation_keep_hints(
    uuid[], int[], int[], int[], int[], int[], boolean[], timestamptz
);
-- Nothing but the functions above used it.
-- squawk-ignore ban-drop-table
DROP TABLE section_search;

-- migrate: rollback

CREATE UNLOGGED TABLE section_search (
    show_id uuid NOT NULL,
    ordinal int NOT NULL,
    count int NOT NULL,
    best_from int NOT NULL,
    any_from int NOT NULL,
    searched_at timestamptz NOT NULL,
    PRIMARY KEY (show_id, ordinal, count)
) WITH (fillfactor = 50);
