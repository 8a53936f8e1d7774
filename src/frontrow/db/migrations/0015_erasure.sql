-- Erasure: users whose data was erased on request
-- depends: 0014_guest_challenges

-- migrate: apply

-- An erased user, whose credentials are all refused. A table of its own, since every join reads it: it is
-- small. No foreign key, as on the other tables that joins read.
CREATE TABLE erasure (
    user_id uuid PRIMARY KEY,
    erased_at timestamptz NOT NULL,
    -- When the places and holds that ended without a purchase were unlinked from the user.
    unlinked_at timestamptz,
    -- Numbered with the revocations of keys (installation), which every process reads.
    revocation bigint NOT NULL UNIQUE,
    CHECK (unlinked_at >= erased_at)
);
CREATE INDEX erasure_unfinished ON erasure (erased_at) WHERE unlinked_at IS NULL;

-- migrate: rollback

DROP TABLE erasure;
