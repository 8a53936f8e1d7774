-- Limits on unpaid seats by the client's address; concerts without guests
-- depends: 0020_simpler_best_seats

-- migrate: apply

-- The network of the client while the hold is unpaid: the number of an IPv4 address, or the first 64 bits of an
-- IPv6 address.
ALTER TABLE reservation
    ADD network bigint,
    ADD CONSTRAINT reservation_network_while_held CHECK (network IS NULL OR state = 'held') NOT VALID;
-- No row has a network yet.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX reservation_by_network ON reservation (room_id, network) WHERE network IS NOT NULL;

-- Whether guests may join the line and hold seats.
ALTER TABLE concert ADD guests boolean NOT NULL DEFAULT true;
DROP FUNCTION IF EXISTS concert_create(
    uuid, bigint, text, text, text, text, text, int, int, jsonb, int, int, timestamptz, timestamptz,
    text, text, timestamptz
);

DROP FUNCTION IF EXISTS reservation_hold(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], int[], int[], int[], text[], int, int
);
DROP FUNCTION IF EXISTS reservation_hold_best(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], int[], text[], boolean[], int[], int, int
);
DROP FUNCTION IF EXISTS reservation_decide(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], int[], int[], int[], text[], int, int,
    timestamptz
);
DROP FUNCTION IF EXISTS reservation_judge(
    int[], int[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], int[], int[], int[], text[], int, int,
    timestamptz
);
DROP FUNCTION IF EXISTS reservation_account(uuid, uuid, timestamptz, int, int);
DROP FUNCTION IF EXISTS reservation_choose(
    int[], uuid[], text[], int[], boolean[], int[], timestamptz
);

-- migrate: rollback

DROP INDEX reservation_by_network;
ALTER TABLE reservation DROP network;
ALTER TABLE concert DROP guests;
