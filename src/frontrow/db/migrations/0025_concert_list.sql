-- The list of concerts in pages, with search; descriptions
-- depends: 0024_upkeep_by_work

-- migrate: apply

ALTER TABLE concert
    ADD description text,
    ADD poster_url text,
    ADD age_limit int,
    -- The position in the list: concerts on sale by the day of their next show, then the others, the latest first
    -- (concert_list). Ties are in order of the ids.
    ADD listing_rank int NOT NULL DEFAULT 20000000,
    -- When the sale of one of its shows ends next, so that the position may change.
    ADD listing_changes_at timestamptz NOT NULL DEFAULT '-infinity',
    -- Title, artist and venue, a line each, as they are searched: folded by concerts/search.py.
    ADD search text NOT NULL DEFAULT E'\n\n',
    -- There are few concerts to check.
    -- squawk-ignore constraint-missing-not-valid
    ADD CHECK (length(description) BETWEEN 1 AND 10000),
    -- squawk-ignore constraint-missing-not-valid
    ADD CHECK (length(poster_url) BETWEEN 1 AND 2000),
    -- squawk-ignore constraint-missing-not-valid
    ADD CHECK (age_limit BETWEEN 1 AND 99);

UPDATE concert SET
    search = lower(title) || E'\n' || lower(coalesce(artist, '')) || E'\n' || lower(coalesce(venue, ''));

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX concert_by_rank ON concert (listing_rank, concert_id);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX concert_by_change ON concert (listing_changes_at);

-- migrate: rollback

ALTER TABLE concert
    DROP description, DROP poster_url, DROP age_limit, DROP listing_rank, DROP listing_changes_at, DROP search;
