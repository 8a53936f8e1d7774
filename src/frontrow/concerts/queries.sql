-- name: create_concert
-- Creates a concert and its waiting room: see the function.
SELECT request_hash, flaw FROM concert_create(
    :concert_id, :request_hash, :title, :artist, :venue, :timezone, :currency, :hold_seconds,
    :max_seats_per_user, :policy::jsonb, :session_seconds, :claim_seconds, :opens_at, :closes_at,
    :line_order, :seed, :refundable_until, :guests
);

-- name: add_show
-- Adds a show with its sections and seats: see the function.
SELECT concert_add_show(
    p_names => :name, p_prices => :price, p_seats => :seats, p_seats_per_row => :seats_per_row,
    p_concert_id => :concert_id, p_show_id => :show_id, p_request_hash => :request_hash,
    p_starts_at => :starts_at, p_date => :date, p_sales_end_at => :sales_end_at
);

-- name: request_hash_of_show
-- The hash of the request that created a show.
SELECT request_hash FROM show WHERE show_id = :show_id;

-- name: concert_of_show
-- The concert that a show belongs to.
SELECT concert_id FROM show WHERE show_id = :show_id;

-- name: timezone_of_concert
-- The time zone of a concert.
SELECT timezone FROM concert WHERE concert_id = :concert_id;

-- name: change_concert
-- Changes a concert; NULL keeps a value, except refundable_until, where NULL is a value. A new title is a new
-- revision.
UPDATE concert SET
    title = coalesce(:title, title),
    revision = revision + ((title <> :title) IS TRUE)::int,
    revised_at = CASE WHEN title <> :title THEN clock_timestamp() ELSE revised_at END,
    hold_seconds = coalesce(:hold_seconds, hold_seconds),
    max_seats_per_user = coalesce(:max_seats_per_user, max_seats_per_user),
    guests = coalesce(:guests, guests),
    refundable_until = CASE WHEN :changes_refundable_until THEN :refundable_until ELSE refundable_until END
WHERE concert_id = :concert_id
RETURNING concert_id;

-- name: end_sale
-- Sets when the sale of a show ends: see the function.
SELECT show_id, starts_at, sales_end_at, cancelled_at FROM concert_end_sale(:show_id, :sales_end_at);

-- name: claim_currency!
-- Sets the currency of this installation, unless it has one.
INSERT INTO installation (currency) VALUES (:currency) ON CONFLICT DO NOTHING;

-- name: currency
-- The currency of this installation.
SELECT currency FROM installation;

-- name: all_concerts
-- Every concert: those on sale by their next date, then those that have ended, the latest first. Cancelled
-- shows don't count.
SELECT c.concert_id, c.title, c.artist, c.venue, c.timezone, c.currency, c.max_seats_per_user,
    s.first_date, s.last_date, s.price_from, c.refundable_until, c.guests, s.sale
FROM concert AS c
CROSS JOIN LATERAL (
    SELECT max(o.sale) AS sale, min(date) FILTER (WHERE o.sale = 'open') AS next_date,
        min(date) FILTER (WHERE o.sale <> 'cancelled') AS first_date,
        max(date) FILTER (WHERE o.sale <> 'cancelled') AS last_date,
        min(price_from) FILTER (WHERE o.sale <> 'cancelled') AS price_from
    FROM show
    CROSS JOIN LATERAL show_sale(sales_end_at, cancelled_at, statement_timestamp()) AS o (sale)
    WHERE show.concert_id = c.concert_id
) AS s
ORDER BY s.next_date, s.last_date DESC NULLS LAST, c.created_at, c.concert_id;

-- name: shows_of_concert
-- The shows of a concert, in order of time.
SELECT show_id, concert_id, date, starts_at, sales_end_at, seats_total, cancelled_at FROM show
WHERE concert_id = :concert_id
ORDER BY starts_at, show_id;

-- name: stock_of_shows
-- The free seats of shows and the state of their sale, in the order of the array; no free seats once the sale
-- has ended. No seat is read.
SELECT CASE WHEN o.sale = 'open'
        THEN (s.seats_total - t.sold - coalesce(d.seats, 0) - coalesce(h.seats, 0))::int ELSE 0
    END AS available,
    o.sale
FROM unnest(:show_ids::uuid[]) WITH ORDINALITY AS k (show_id, item)
JOIN show AS s USING (show_id)
CROSS JOIN LATERAL show_sale(s.sales_end_at, s.cancelled_at, statement_timestamp()) AS o (sale)
JOIN stock AS t USING (show_id)
LEFT JOIN (SELECT show_id, sum(seats) AS seats FROM sold_delta GROUP BY show_id) AS d USING (show_id)
LEFT JOIN (
    SELECT r.show_id, sum(cardinality(r.seats)) AS seats FROM reservation AS r
    WHERE r.state = 'held' AND r.held_until > statement_timestamp()
    GROUP BY r.show_id
) AS h USING (show_id)
ORDER BY k.item;
