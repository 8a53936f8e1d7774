-- A log of seats that changed, for those who follow a seat map
-- depends: 0004_rows

-- migrate: apply

-- One row for each call and show: seats that the call gave to somebody else, or to nobody. Whatever
-- changes a seat adds its row in the same statement; a hold that runs out by time changes no seat. The
-- newest minutes are kept. It only says where to look, so it need not outlive a crash: unlogged, it
-- costs the hot path no write-ahead log.
CREATE UNLOGGED TABLE seat_change (
    show_id uuid NOT NULL,
    -- The transaction that did it; they commit in another order than that of their numbers.
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    numbers int[] NOT NULL CHECK (cardinality(numbers) >= 1),
    changed_at timestamptz NOT NULL
);
CREATE INDEX seat_change_of_show ON seat_change (show_id, xid);
CREATE INDEX seat_change_by_time ON seat_change (changed_at);

-- One row, which names this log. It goes away together with the log (a crash, a promoted standby, a
-- database that was set back): then what was read of the old one is worth nothing.
CREATE UNLOGGED TABLE seat_change_log (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    log_id text NOT NULL CHECK (log_id ~ '^[0-9a-f]{8}$')
);

-- migrate: rollback

DROP TABLE seat_change_log, seat_change;
