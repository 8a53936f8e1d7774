-- Tickets: the keys that sign their codes, and check-in
-- depends: 0003_forecast

-- migrate: apply

-- A key signs from signs_at on, until a later one of its purpose does; what it has signed is accepted
-- until it is retired (keys/functions.sql). A ticket key has a public part, for gates.
DROP INDEX signing_key_in_use;
ALTER TABLE signing_key
    DROP CONSTRAINT signing_key_purpose_check,
    ADD CONSTRAINT signing_key_purpose_check CHECK (purpose IN ('token', 'ticket')),
    ADD public_key bytea CHECK (octet_length(public_key) = 32),
    ADD signs_at timestamptz;
UPDATE signing_key SET signs_at = created_at;
ALTER TABLE signing_key
    ALTER signs_at SET NOT NULL,
    ADD CHECK (signs_at >= created_at),
    ADD CHECK ((purpose = 'ticket') = (public_key IS NOT NULL));

-- A ticket is checked in only once, and only while it is valid. It may become void after that: a cancelled
-- show is refunded to everybody.
ALTER TABLE ticket
    ADD checked_in_at timestamptz,
    -- The check-in's own id, by which a retry finds it.
    ADD check_in_id uuid,
    ADD gate text CHECK (length(gate) BETWEEN 1 AND 100),
    ADD void_reason text CHECK (void_reason IN ('refunded', 'show_cancelled'));
UPDATE ticket SET void_reason = 'refunded' WHERE void_at IS NOT NULL;
ALTER TABLE ticket
    ADD CHECK ((void_at IS NULL) = (void_reason IS NULL)),
    ADD CONSTRAINT ticket_check_in_has_its_time
        CHECK ((checked_in_at IS NULL) = (check_in_id IS NULL)),
    ADD CHECK (gate IS NULL OR checked_in_at IS NOT NULL),
    ADD CONSTRAINT ticket_is_let_in_while_valid CHECK (checked_in_at <= void_at);
CREATE UNIQUE INDEX ticket_check_in ON ticket (check_in_id) WHERE check_in_id IS NOT NULL;

-- Its successor returns the show too.
DROP FUNCTION IF EXISTS payment_pay(
    int[], int[], uuid[], uuid[], uuid[], uuid[], uuid[], bigint[]
);

-- migrate: rollback

DROP INDEX ticket_check_in;
ALTER TABLE ticket DROP checked_in_at, DROP check_in_id, DROP gate, DROP void_reason;
DELETE FROM signing_key WHERE purpose <> 'token';
ALTER TABLE signing_key DROP public_key, DROP signs_at, DROP CONSTRAINT signing_key_purpose_check,
    ADD CONSTRAINT signing_key_purpose_check CHECK (purpose IN ('token'));
UPDATE signing_key SET retired_at = clock_timestamp()
WHERE retired_at IS NULL AND key_id <> (SELECT max(key_id) FROM signing_key WHERE retired_at IS NULL);
CREATE UNIQUE INDEX signing_key_in_use ON signing_key (purpose) WHERE retired_at IS NULL;
