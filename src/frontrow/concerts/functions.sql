-- Creates and changes concerts, shows and seats.

-- Adds a show to a concert, with its sections and seats. Sections come as arrays of the same length, in
-- order; seat numbers run 1..n through them, row by row. A plain show is one section without a name.
-- Changes nothing if the show exists.
CREATE OR REPLACE FUNCTION concert_add_show(
    p_concert_id uuid, p_show_id uuid, p_request_hash bigint, p_starts_at timestamptz,
    p_date date, p_sales_end_at timestamptz, p_names text[], p_prices bigint[], p_seats int[],
    p_seats_per_row int[]
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO show VALUES (
        p_show_id, p_concert_id, p_request_hash, p_starts_at, p_date, p_sales_end_at,
        (SELECT sum(s) FROM unnest(p_seats) AS s), (SELECT min(p) FROM unnest(p_prices) AS p)
    )
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO stock (show_id) VALUES (p_show_id);
    INSERT INTO show_section (
        show_id, ordinal, name, price, first_number, last_number, seats_per_row
    )
    SELECT p_show_id, k.ordinal, k.name, k.price, sum(k.seats) OVER before - k.seats + 1,
        sum(k.seats) OVER before, k.seats_per_row
    FROM unnest(p_names, p_prices, p_seats, p_seats_per_row)
        WITH ORDINALITY AS k (name, price, seats, seats_per_row, ordinal)
    WINDOW before AS (ORDER BY k.ordinal);
    INSERT INTO seat (show_id, number, price, section)
    SELECT p_show_id, i, s.price, s.name
    FROM show_section AS s CROSS JOIN LATERAL generate_series(s.first_number, s.last_number) AS i
    WHERE s.show_id = p_show_id
    ORDER BY i;
END $$;

-- Sets when the sale of a show ends; NULL: at its start. Holds lock the show shared: this waits for holds in
-- flight, and later ones see the new end. The sale of a cancelled show is not changed. Returns the show, or
-- no row.
CREATE OR REPLACE FUNCTION concert_end_sale(p_show_id uuid, p_sales_end_at timestamptz)
RETURNS SETOF show LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM show AS s WHERE s.show_id = p_show_id FOR UPDATE;
    UPDATE show AS s SET sales_end_at = coalesce(p_sales_end_at, s.starts_at)
    WHERE s.show_id = p_show_id AND s.cancelled_at IS NULL;
    PERFORM concert_list(array(SELECT s.concert_id FROM show AS s WHERE s.show_id = p_show_id));
    RETURN QUERY SELECT s.* FROM show AS s WHERE s.show_id = p_show_id;
END $$;

-- Returns the state of a sale: open, ended or cancelled. max() of several shows is open if one of them is
-- open, cancelled if all are cancelled.
CREATE OR REPLACE FUNCTION show_sale(
    sales_end_at timestamptz, cancelled_at timestamptz, now timestamptz
)
RETURNS text LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN cancelled_at IS NOT NULL THEN 'cancelled' WHEN sales_end_at <= now THEN 'ended' ELSE 'open'
END;

-- Creates a concert with its waiting room; the shows are added in the same transaction. Changes nothing if
-- the concert exists.
-- request_hash: the stored hash; if it is not p_request_hash, the id was used for another request.
-- flaw: why the settings of the waiting room are invalid (waiting_room_flaw); then there is no line.
CREATE OR REPLACE FUNCTION concert_create(
    p_concert_id uuid, p_request_hash bigint, p_title text, p_artist text, p_venue text,
    p_timezone text, p_currency text, p_hold_seconds int, p_max_seats_per_user int,
    p_policy jsonb, p_session_seconds int, p_claim_seconds int,
    p_opens_at timestamptz, p_closes_at timestamptz, p_order text, p_seed text,
    p_refundable_until timestamptz, p_guests boolean, p_description text, p_poster_url text,
    p_age_limit int, p_search text,
    OUT request_hash bigint, OUT flaw text
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO concert (
        concert_id, request_hash, title, artist, venue, timezone, currency, hold_seconds,
        max_seats_per_user, created_at, refundable_until, guests, description, poster_url, age_limit, search
    )
    VALUES (
        p_concert_id, p_request_hash, p_title, p_artist, p_venue, p_timezone, p_currency,
        p_hold_seconds, p_max_seats_per_user, clock_timestamp(), p_refundable_until, p_guests,
        p_description, p_poster_url, p_age_limit, p_search
    )
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        flaw := waiting_room_open(
            p_concert_id, p_policy, p_session_seconds, p_claim_seconds, p_opens_at, p_closes_at,
            p_order, p_seed
        );
    END IF;
    SELECT c.request_hash INTO request_hash FROM concert AS c WHERE c.concert_id = p_concert_id;
END $$;
