-- A log of changed seats, for clients that follow a seat map
-- depends: 0004_rows

-- migrate: apply

-- One row for each call and show: the seats that the call changed. Each change of a seat adds its row in
-- the same statement; a hold that expires by time changes no seat. The newest minutes are kept. It only
-- names the seats to read again, so it may be lost in a crash: unlogged, it costs the hot path no
-- write-ahead log.
CREATE UNLOGGED TABLE seat_change (
    show_id uuid NOT NULL,
    -- The transaction of the change; transactions don't commit in the order of these numbers.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    numbers int[] NOT NULL CHECK (cardinality(numbers) >= 1),
    changed_at timestamptz NOT NULL
);
CREATE INDEX seat_change_of_show ON seat_change (show_id, xid);
CREATE INDEX seat_change_by_time ON seat_change (changed_at);

-- One row, which names this log. It is lost together with the log (a crash, a promoted standby, a
-- restored database): then everything read from the old log is invalid.
CREATE UNLOGGED TABLE seat_change_log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    log_id text NOT NULL CHECK (log_id ~ '^[0-9a-f]{8}$')
);

-- migrate: rollback

DROP TABLE seat_change_log, seat_change;
