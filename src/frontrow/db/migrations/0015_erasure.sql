-- Erasure: users whose data was erased on request
-- depends: 0014_guest_challenges

-- migrate: apply

-- A user who asked to be erased: no credential of theirs works any more. A table of its own, since every
-- join looks into it: it is small. No foreign key, as on the other tables that joins look into.
CREATE TABLE erasure (
    user_id uuid PRIMARY KEY,
    erased_at timestamptz NOT NULL,
    -- When the places and holds that ended without a purchase had been made nobody's.
    unlinked_at timestamptz,
    -- Numbered with the revocations of keys (installation), by which each process hears of it.
    revocation bigint NOT NULL UNIQUE,
    CHECK (unlinked_at >= erased_at)
);
CREATE INDEX erasure_unfinished ON erasure (erased_at) WHERE unlinked_at IS NULL;

-- migrate: rollback

DROP TABLE erasure;
