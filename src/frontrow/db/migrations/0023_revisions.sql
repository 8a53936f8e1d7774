-- When the published facts of a concert changed, and texts without control characters
-- depends: 0020_simpler_best_seats

-- migrate: apply

-- Calendar entries of tickets carry it: a later revision replaces an earlier one.
ALTER TABLE concert
    ADD revision int NOT NULL DEFAULT 0 CHECK (revision >= 0),
    ADD revised_at timestamptz,
    -- There are few concerts to check.
    -- squawk-ignore constraint-missing-not-valid
    ADD CHECK ((revision = 0) = (revised_at IS NULL));

-- Earlier versions accepted every character but NUL (text_rules.py). What is refused now is replaced by
-- U+FFFD, so that it is in no page and no file.
CREATE FUNCTION pg_temp.repaired(p_text text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(
        p_text, U&'[\0001-\001F\007F-\009F\2028\2029\202A-\202E\2066-\2069\FFF9-\FFFB\FFFE\FFFF]', U&'\FFFD', 'g'
    );
$$;
UPDATE concert SET title = pg_temp.repaired(title) WHERE title <> pg_temp.repaired(title);
UPDATE concert SET artist = pg_temp.repaired(artist) WHERE artist <> pg_temp.repaired(artist);
UPDATE concert SET venue = pg_temp.repaired(venue) WHERE venue <> pg_temp.repaired(venue);
UPDATE seat SET section = pg_temp.repaired(section) FROM show_section AS k
WHERE k.show_id = seat.show_id AND k.name = seat.section AND k.name <> pg_temp.repaired(k.name);
UPDATE show_section SET name = pg_temp.repaired(name) WHERE name <> pg_temp.repaired(name);
UPDATE ticket SET gate = pg_temp.repaired(gate) WHERE gate <> pg_temp.repaired(gate);
DROP FUNCTION pg_temp.repaired (text);

-- migrate: rollback

ALTER TABLE concert DROP revision, DROP revised_at;
