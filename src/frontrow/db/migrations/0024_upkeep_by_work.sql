-- Upkeep finds the lines that have work, and what has changed since it last read them
-- depends: 0023_revisions

-- migrate: apply

-- A running older version locks show before waiting_room, in holds and payments. All locks are taken first, in this
-- order, so that the migration doesn't deadlock with them during a rolling restart.
LOCK TABLE show, stock, waiting_room IN ACCESS EXCLUSIVE MODE;

-- The transaction of a row's last noted change. Readers ask for the changes since an earlier snapshot.
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END $$;

-- has_waiting: users wait. A line is found by its index while they do, so that a change of its counters alone
-- touches no index; at any other time each change is noted.
ALTER TABLE waiting_room
    ADD has_waiting boolean NOT NULL DEFAULT false,
    ADD changed_in xid8 NOT NULL DEFAULT pg_current_xact_id();
UPDATE waiting_room SET has_waiting = issued - serving > left_count - left_passed
WHERE issued - serving > left_count - left_passed;
ALTER TABLE waiting_room
    -- squawk-ignore constraint-missing-not-valid
    ADD CHECK (has_waiting = (issued - serving > left_count - left_passed));

CREATE FUNCTION waiting_room_note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    NEW.has_waiting := NEW.issued - NEW.serving > NEW.left_count - NEW.left_passed;
    NEW.changed_in := pg_current_xact_id();
    RETURN NEW;
END $$;
CREATE TRIGGER waiting_room_created BEFORE INSERT ON waiting_room
    FOR EACH ROW EXECUTE FUNCTION waiting_room_note_change();
CREATE TRIGGER waiting_room_changed BEFORE UPDATE ON waiting_room
    FOR EACH ROW WHEN (
        NOT OLD.has_waiting OR NEW.issued - NEW.serving <= NEW.left_count - NEW.left_passed
    )
    EXECUTE FUNCTION waiting_room_note_change();

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX waiting_room_by_change ON waiting_room (changed_in);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX waiting_room_with_users ON waiting_room (room_id) WHERE has_waiting;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX waiting_room_by_opening ON waiting_room (opens_at) WHERE opens_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX waiting_room_by_closing ON waiting_room (closes_at) WHERE closes_at IS NOT NULL;

-- The seats left of a concert change with its shows, its stock, its holds and its sold_deltas; the latter two
-- are few.
ALTER TABLE show ADD changed_in xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE TRIGGER show_changed BEFORE INSERT OR UPDATE ON show
    FOR EACH ROW EXECUTE FUNCTION note_change();
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX show_by_change ON show (changed_in);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX show_by_end_of_sale ON show (sales_end_at);
ALTER TABLE stock ADD changed_in xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE TRIGGER stock_changed BEFORE INSERT OR UPDATE ON stock
    FOR EACH ROW EXECUTE FUNCTION note_change();
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX stock_by_change ON stock (changed_in);

-- migrate: rollback

DROP TRIGGER stock_changed ON stock;
DROP TRIGGER show_changed ON show;
DROP TRIGGER waiting_room_changed ON waiting_room;
DROP TRIGGER waiting_room_created ON waiting_room;
ALTER TABLE stock DROP changed_in;
ALTER TABLE show DROP changed_in;
DROP INDEX show_by_end_of_sale, waiting_room_by_opening, waiting_room_by_closing;
ALTER TABLE waiting_room DROP changed_in, DROP has_waiting;
DROP FUNCTION waiting_room_note_change(), note_change();
