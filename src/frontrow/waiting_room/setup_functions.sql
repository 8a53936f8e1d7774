-- The settings of a line: its policy, times and order, and its draw. Conventions as in functions.sql.

-- Returns why times and an order are invalid for a line: the name of the refusal, or NULL. p_room_id is
-- NULL for a new line. A time that the line has already may have passed.
CREATE OR REPLACE FUNCTION waiting_room_flaw(
    p_room_id int, p_order text, p_opens_at timestamptz, p_closes_at timestamptz, p_now timestamptz
)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id;
    RETURN CASE
        WHEN p_opens_at <= p_now AND p_opens_at IS DISTINCT FROM room.opens_at
            THEN 'opens_in_the_past'
        WHEN p_closes_at <= p_now AND p_closes_at IS DISTINCT FROM room.closes_at
            THEN 'closes_in_the_past'
        WHEN p_order = 'draw' AND room.entrants IS NULL THEN CASE
            -- Nor by postponing the opening: places were admitted by number before.
            WHEN room.line_order = 'arrival' AND (
                room.serving > 0 OR room.issued > 0 AND coalesce(room.opens_at <= p_now, true)
            ) THEN 'draw_after_opening'
            WHEN p_opens_at IS NULL THEN 'draw_without_opening'
        END
    END;
END $$;

-- Creates a concert's line, with its draw if the order is 'draw'. p_seed is the secret of that draw.
-- Returns why the settings are invalid (waiting_room_flaw), or NULL.
CREATE OR REPLACE FUNCTION waiting_room_open(
    p_concert_id uuid, p_policy jsonb, p_session_seconds int, p_claim_seconds int,
    p_opens_at timestamptz, p_closes_at timestamptz, p_order text, p_seed text
)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz := clock_timestamp();
    flaw text := waiting_room_flaw(NULL, p_order, p_opens_at, p_closes_at, now);
    room int;
BEGIN
    IF flaw IS NOT NULL THEN
        RETURN flaw;
    END IF;
    INSERT INTO waiting_room (
        concert_id, policy, session_seconds, claim_seconds, opens_at, closes_at, line_order,
        adaptive_cap
    )
    VALUES (
        p_concert_id, p_policy, p_session_seconds, p_claim_seconds, p_opens_at, p_closes_at, p_order,
        (p_policy ->> 'min_active')::int
    )
    RETURNING room_id INTO room;
    INSERT INTO policy_change VALUES (room, 1, p_policy, now);
    IF p_order = 'draw' THEN
        PERFORM waiting_room_commit_to_draw(room, p_seed, now);
    END IF;
    RETURN NULL;
END $$;

-- Replaces a line's policy, times and order; places and numbers stay. A completed draw stays; a pending one
-- can be cancelled, and set up again only with another seed. An adaptive policy keeps its present cap, limited
-- to its new bounds. p_known_versions: the versions that may be replaced; NULL for any.
-- Returns done; not_found; version_conflict if another version is stored; or why the settings are invalid
-- (waiting_room_flaw).
CREATE OR REPLACE FUNCTION waiting_room_configure(
    p_concert_id uuid, p_policy jsonb, p_session_seconds int, p_claim_seconds int,
    p_opens_at timestamptz, p_closes_at timestamptz, p_order text, p_seed text, p_known_versions int[]
)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room waiting_room;
    now timestamptz;
    flaw text;
    drawing boolean;
BEGIN
    SELECT * INTO room FROM waiting_room WHERE concert_id = p_concert_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN 'not_found';
    END IF;
    IF room.policy_version <> ALL (p_known_versions) THEN
        RETURN 'version_conflict';
    END IF;
    now := clock_timestamp();
    flaw := waiting_room_flaw(room.room_id, p_order, p_opens_at, p_closes_at, now);
    IF flaw IS NOT NULL THEN
        RETURN flaw;
    END IF;
    drawing := EXISTS (SELECT FROM draw WHERE room_id = room.room_id AND entrants IS NOT NULL);
    UPDATE waiting_room
    SET policy = p_policy, session_seconds = p_session_seconds, claim_seconds = p_claim_seconds,
        -- Once its entries are closed, a draw takes place.
        opens_at = CASE WHEN drawing AND room.entrants IS NULL THEN room.opens_at ELSE p_opens_at END,
        closes_at = p_closes_at,
        line_order = CASE WHEN drawing THEN 'draw' ELSE p_order END,
        adaptive_cap = CASE WHEN p_policy ->> 'kind' = 'adaptive' THEN least(
            (p_policy ->> 'max_active')::int,
            greatest((p_policy ->> 'min_active')::int, room.adaptive_cap)
        ) END,
        policy_version = room.policy_version + 1
    WHERE room_id = room.room_id;
    INSERT INTO policy_change VALUES (room.room_id, room.policy_version + 1, p_policy, now);
    IF NOT drawing AND p_order <> room.line_order THEN
        DELETE FROM draw WHERE room_id = room.room_id;
        IF p_order = 'draw' THEN
            PERFORM waiting_room_commit_to_draw(room.room_id, p_seed, now);
        END IF;
    END IF;
    RETURN 'done';
END $$;

-- Sets up a draw: its commitment, by which anyone can verify the seed later, is public from now on.
CREATE OR REPLACE FUNCTION waiting_room_commit_to_draw(p_room_id int, p_seed text, p_now timestamptz)
RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO draw (room_id, seed, commitment, committed_at)
    VALUES (p_room_id, p_seed, encode(sha256(convert_to(p_seed, 'UTF8')), 'hex'), p_now);
$$;

-- Returns the entry of a place in the digest of a draw: unique, and without data of the user.
CREATE OR REPLACE FUNCTION waiting_room_entry(place_id uuid)
RETURNS text LANGUAGE sql STABLE
RETURN encode(sha256(convert_to(place_id::text, 'UTF8')), 'hex');

-- Closes the entries of a draw that is due: places that joined before the opening are entrants, later ones
-- are served behind them by number. Returns whether there is a line to draw.
CREATE OR REPLACE FUNCTION waiting_room_close_entries(p_room_id int)
RETURNS boolean LANGUAGE plpgsql VOLATILE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
DECLARE
    room waiting_room;
BEGIN
    -- A place with a joined_at before the opening is committed once this lock is granted.
    SELECT * INTO room FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    IF NOT FOUND OR room.line_order <> 'draw' OR room.entrants IS NOT NULL
        OR coalesce(room.opens_at > clock_timestamp(), true)
    THEN
        RETURN false;
    END IF;
    -- Only once: waiting_room_draw locks the draw's row and then waits for the room's.
    IF EXISTS (SELECT FROM draw WHERE room_id = p_room_id AND entrants IS NULL) THEN
        UPDATE draw SET entrants = coalesce((
            SELECT p.number FROM place AS p
            WHERE p.room_id = p_room_id AND p.joined_at < room.opens_at
            ORDER BY p.number DESC LIMIT 1
        ), 0)
        WHERE room_id = p_room_id;
    END IF;
    RETURN true;
END $$;

-- Draws a line whose entries are closed. A process skips a draw that another one has locked. The rule, all
-- values as hexadecimal text:
--   entry   = SHA-256(place id)
--   digest  = SHA-256(the entries by number, each followed by a line feed)
--   key     = SHA-256(seed ":" digest ":" number)
-- and the entrants are served in the order of their keys. Returns the number of entrants; NULL if nothing
-- was drawn.
CREATE OR REPLACE FUNCTION waiting_room_draw(p_room_id int)
RETURNS int LANGUAGE plpgsql VOLATILE
SET work_mem = '128MB'
AS $$
DECLARE
    due draw;
    now timestamptz;
BEGIN
    SELECT * INTO due FROM draw
    WHERE room_id = p_room_id AND entrants IS NOT NULL AND drawn_at IS NULL
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT encode(sha256(convert_to(
        coalesce(string_agg(waiting_room_entry(p.place_id) || E'\n', '' ORDER BY p.number), ''), 'UTF8'
    )), 'hex')
    INTO due.digest
    FROM place AS p WHERE p.room_id = p_room_id AND p.number <= due.entrants;
    INSERT INTO drawn (room_id, position, number)
    SELECT p_room_id, row_number() OVER (ORDER BY k.key), k.number
    FROM (
        SELECT n AS number,
            sha256(convert_to(due.seed || ':' || due.digest || ':' || n, 'UTF8')) AS key
        FROM generate_series(1, due.entrants) AS n
    ) AS k;
    PERFORM FROM waiting_room WHERE room_id = p_room_id FOR NO KEY UPDATE;
    now := clock_timestamp();
    UPDATE draw SET digest = due.digest, drawn_at = now WHERE room_id = p_room_id;
    UPDATE waiting_room SET entrants = due.entrants WHERE room_id = p_room_id;
    RETURN due.entrants;
END $$;
