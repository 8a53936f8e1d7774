-- The line, the seats, the money and the purchase
-- depends:

-- migrate: apply

-- The tables of the hot path (place, seat, reservation, transfer, payment, ticket) have no foreign
-- keys: each would cost a look-up and a row lock for each row, and only functions that lock both sides
-- write them. `frontrow audit` checks what foreign keys would.

-- Installation ------------------------------------------------------------------------------------

-- One row: the settings on which all processes of this installation must agree.
CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$')
);

-- Secrets that sign tokens; shared by all processes.
CREATE TABLE signing_key (
    key_id text PRIMARY KEY CHECK (key_id <> ''),
    purpose text NOT NULL CHECK (purpose IN ('token')),
    secret bytea NOT NULL CHECK (octet_length(secret) >= 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz
);
CREATE UNIQUE INDEX signing_key_in_use ON signing_key (purpose) WHERE retired_at IS NULL;

-- Users -------------------------------------------------------------------------------------------

CREATE TABLE app_user (
    user_id uuid PRIMARY KEY,
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX app_user_by_key ON app_user (key_hash);

-- Concerts ----------------------------------------------------------------------------------------

CREATE TABLE concert (
    concert_id uuid PRIMARY KEY,
    request_hash bigint NOT NULL,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    artist text CHECK (length(artist) <= 200),
    venue text CHECK (length(venue) <= 200),
    timezone text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_seconds int NOT NULL CHECK (hold_seconds BETWEEN 1 AND 3600),
    max_seats_per_user int NOT NULL CHECK (max_seats_per_user BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL
);

CREATE TABLE show (
    show_id uuid PRIMARY KEY,
    concert_id uuid NOT NULL REFERENCES concert,
    request_hash bigint NOT NULL,
    starts_at timestamptz NOT NULL,
    -- The calendar day of starts_at at the venue.
    date date NOT NULL,
    sales_end_at timestamptz NOT NULL,
    seats_total int NOT NULL CHECK (seats_total BETWEEN 1 AND 100000),
    price_from bigint NOT NULL CHECK (price_from > 0)
);
CREATE INDEX show_by_date ON show (concert_id, date);

-- A seat and its reservation. It is free without a reservation or after held_until: nothing has to run
-- for that. A sold seat is held until 'infinity'.
CREATE TABLE seat (
    show_id uuid NOT NULL,
    number int NOT NULL CHECK (number >= 1),
    price bigint NOT NULL CHECK (price BETWEEN 1 AND 1000000000),
    section text CHECK (length(section) BETWEEN 1 AND 100),
    reservation_id uuid,
    held_until timestamptz,
    PRIMARY KEY (show_id, number),
    CHECK ((reservation_id IS NULL) = (held_until IS NULL))
) WITH (fillfactor = 80);

-- The line ----------------------------------------------------------------------------------------

CREATE TYPE place_state AS ENUM ('waiting', 'admitted', 'finished');
CREATE TYPE finish_reason AS ENUM ('paid', 'left', 'expired');

-- The line in front of one concert. `issued` is the last number given, `serving` the last one
-- admitted, `left_count` the last left_seq given.
CREATE TABLE waiting_room (
    room_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    concert_id uuid NOT NULL UNIQUE REFERENCES concert,
    policy jsonb NOT NULL,
    policy_version int NOT NULL DEFAULT 1,
    session_seconds int NOT NULL CHECK (session_seconds BETWEEN 1 AND 86400),
    claim_seconds int NOT NULL CHECK (claim_seconds BETWEEN 1 AND 3600),
    opens_at timestamptz,
    closes_at timestamptz,
    paused boolean NOT NULL DEFAULT false,
    issued int NOT NULL DEFAULT 0,
    serving int NOT NULL DEFAULT 0,
    left_count int NOT NULL DEFAULT 0,
    -- The time up to which a rate policy's allowance is used (waiting_room_admit).
    paced_until timestamptz,
    CHECK (serving BETWEEN 0 AND issued),
    CHECK (left_count BETWEEN 0 AND issued),
    CHECK (opens_at < closes_at)
) WITH (fillfactor = 50);

-- The policies and the times from which they were in force: the audit checks past admissions by them.
CREATE TABLE policy_change (
    room_id int NOT NULL REFERENCES waiting_room,
    policy_version int NOT NULL,
    policy jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (room_id, policy_version)
);

-- One row for each admission: numbers first_number..last_number, `admitted` of them (the others had
-- left). A rate policy counts its window here.
CREATE TABLE admission (
    room_id int NOT NULL REFERENCES waiting_room,
    first_number int NOT NULL,
    last_number int NOT NULL,
    admitted int NOT NULL,
    -- The number of admitted and unfinished places right after this.
    active int NOT NULL,
    policy_version int NOT NULL,
    admitted_at timestamptz NOT NULL,
    PRIMARY KEY (room_id, first_number),
    CHECK (last_number >= first_number),
    CHECK (admitted BETWEEN 1 AND last_number - first_number + 1)
);
CREATE INDEX admission_by_time ON admission (room_id, admitted_at);

-- A user's place in one line. No index on the id in the token: the token also has the room and the
-- number.
CREATE TABLE place (
    place_id uuid NOT NULL,
    user_id uuid NOT NULL,
    joined_at timestamptz NOT NULL,
    room_id int NOT NULL,
    number int NOT NULL,
    state place_state NOT NULL DEFAULT 'waiting',
    reason finish_reason,
    -- Numbers the places that left this line while waiting.
    left_seq int,
    admitted_at timestamptz,
    claimed_at timestamptz,
    -- The end of the session that began with the claim; a hold may carry the session beyond it.
    session_until timestamptz,
    expires_at timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (room_id, number),
    CHECK ((state = 'finished') = (finished_at IS NOT NULL)),
    CHECK ((state = 'finished') = (reason IS NOT NULL)),
    CHECK (state <> 'waiting' OR admitted_at IS NULL),
    CHECK (state <> 'admitted' OR admitted_at IS NOT NULL),
    CHECK ((admitted_at IS NULL) = (expires_at IS NULL)),
    CHECK ((claimed_at IS NULL) = (session_until IS NULL)),
    CHECK (claimed_at IS NULL OR admitted_at IS NOT NULL),
    CHECK (left_seq IS NULL OR (state = 'finished' AND admitted_at IS NULL)),
    CHECK (reason IS DISTINCT FROM 'paid' OR claimed_at IS NOT NULL)
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX place_live ON place (room_id, user_id) WHERE state <> 'finished';
CREATE INDEX place_admitted ON place (room_id, number) WHERE state = 'admitted';
CREATE UNIQUE INDEX place_left ON place (room_id, left_seq) WHERE left_seq IS NOT NULL;

-- Holds -------------------------------------------------------------------------------------------

CREATE TYPE reservation_state AS ENUM ('held', 'paid', 'released', 'expired', 'refunded');

-- `held` past held_until is expired, whether or not the upkeep has written that.
CREATE TABLE reservation (
    reservation_id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    concert_id uuid NOT NULL,
    show_id uuid NOT NULL,
    room_id int NOT NULL,
    place_number int NOT NULL,
    request_hash bigint NOT NULL,
    seats int[] NOT NULL CHECK (cardinality(seats) >= 1),
    amount bigint NOT NULL CHECK (amount > 0),
    state reservation_state NOT NULL DEFAULT 'held',
    created_at timestamptz NOT NULL,
    held_until timestamptz NOT NULL,
    closed_at timestamptz,
    CHECK (held_until > created_at),
    CHECK ((state = 'held') = (closed_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX reservation_of_user ON reservation (user_id, concert_id)
    WHERE state IN ('held', 'paid');
CREATE INDEX reservation_live ON reservation (held_until) WHERE state = 'held';

-- Money -------------------------------------------------------------------------------------------

-- The accounts that money comes from and goes to. A wallet's account is its user's id.
CREATE TABLE house_account (
    account_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (name IN ('cash', 'sales'))
);
INSERT INTO house_account VALUES
    ('00000000-0000-0000-0000-000000000001', 'cash'),
    ('00000000-0000-0000-0000-000000000002', 'sales');

CREATE TABLE wallet (
    user_id uuid PRIMARY KEY,
    balance bigint NOT NULL DEFAULT 0 CHECK (balance >= 0),
    -- The number of transfers of this wallet.
    entries int NOT NULL DEFAULT 0 CHECK (entries >= 0)
) WITH (fillfactor = 70);

CREATE TYPE transfer_kind AS ENUM ('charge', 'payment', 'refund');

-- The ledger: each row moves one amount from one account to another, so it is balanced by
-- construction. Rows are only added.
CREATE TABLE transfer (
    -- For a payment the payment's id, so that it is debited only once.
    transfer_id uuid PRIMARY KEY,
    -- The user of the wallet, and the number of this transfer there.
    user_id uuid NOT NULL,
    entry int NOT NULL CHECK (entry >= 1),
    kind transfer_kind NOT NULL,
    debit_account uuid NOT NULL,
    credit_account uuid NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    -- The wallet's balance after it.
    balance bigint NOT NULL CHECK (balance >= 0),
    -- The payment that it is for.
    reference uuid,
    created_at timestamptz NOT NULL,
    UNIQUE (user_id, entry),
    CHECK (debit_account <> credit_account),
    CHECK (user_id = CASE kind WHEN 'payment' THEN debit_account ELSE credit_account END),
    CHECK ((kind = 'charge') = (reference IS NULL)),
    CHECK (kind <> 'payment' OR reference = transfer_id)
);

-- Beyond the rights of the application's role: the owner can't change the ledger by mistake either.
CREATE FUNCTION transfer_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION transfer_is_append_only();

-- Purchases ---------------------------------------------------------------------------------------

CREATE TYPE payment_state AS ENUM ('paid', 'refunded');

CREATE TABLE payment (
    payment_id uuid PRIMARY KEY,
    reservation_id uuid NOT NULL UNIQUE,
    user_id uuid NOT NULL,
    concert_id uuid NOT NULL,
    show_id uuid NOT NULL,
    seats int[] NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    -- The wallet's balance after it.
    balance bigint NOT NULL CHECK (balance >= 0),
    state payment_state NOT NULL DEFAULT 'paid',
    paid_at timestamptz NOT NULL,
    refunded_at timestamptz,
    CHECK ((state = 'refunded') = (refunded_at IS NOT NULL))
);
CREATE INDEX payment_of_user ON payment (user_id, paid_at, payment_id);

-- An owned seat.
CREATE TABLE ticket (
    ticket_id uuid PRIMARY KEY,
    payment_id uuid NOT NULL,
    user_id uuid NOT NULL,
    show_id uuid NOT NULL,
    number int NOT NULL,
    void_at timestamptz
);
CREATE INDEX ticket_of_payment ON ticket (payment_id);
CREATE UNIQUE INDEX ticket_valid ON ticket (show_id, number) WHERE void_at IS NULL;

-- The sales of a show: its row in stock plus its rows in sold_delta. A purchase adds a delta without
-- waiting for a lock; the upkeep folds the deltas in.
CREATE TABLE stock (
    show_id uuid PRIMARY KEY REFERENCES show,
    sold int NOT NULL DEFAULT 0,
    revenue bigint NOT NULL DEFAULT 0
);
CREATE TABLE sold_delta (
    delta_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    show_id uuid NOT NULL,
    seats int NOT NULL CHECK (seats <> 0),
    amount bigint NOT NULL
);

-- migrate: rollback

DROP TABLE sold_delta, stock, ticket, payment, transfer, wallet, house_account, reservation, place,
    admission, policy_change, waiting_room, seat, show, concert, app_user, signing_key, installation;
DROP FUNCTION transfer_is_append_only();
DROP TYPE payment_state, transfer_kind, reservation_state, finish_reason, place_state;
