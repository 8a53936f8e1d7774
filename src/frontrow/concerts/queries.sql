-- name: create_concert
-- Creates a concert and its waiting room: see the function.
SELECT request_hash, flaw FROM concert_create(
    :concert_id, :request_hash, :title, :artist, :venue, :timezone, :currency, :hold_seconds,
    :max_seats_per_user, :policy::jsonb, :session_seconds, :claim_seconds, :opens_at, :closes_at,
    :line_order, :seed, :refundable_until, :guests, :description, :poster_url, :age_limit, :search
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
-- Changes a concert; NULL keeps a value, except where it is a value: then there is a parameter "changes_…". A new
-- title is a new revision, also in what is searched.
UPDATE concert SET
    title = coalesce(:title, title),
    search = coalesce(:search_title || substr(search, strpos(search, E'\n')), search),
    revision = revision + ((title <> :title) IS TRUE)::int,
    revised_at = CASE WHEN title <> :title THEN clock_timestamp() ELSE revised_at END,
    hold_seconds = coalesce(:hold_seconds, hold_seconds),
    max_seats_per_user = coalesce(:max_seats_per_user, max_seats_per_user),
    guests = coalesce(:guests, guests),
    refundable_until = CASE WHEN :changes_refundable_until THEN :refundable_until ELSE refundable_until END,
    description = CASE WHEN :changes_description THEN :description ELSE description END,
    poster_url = CASE WHEN :changes_poster_url THEN :poster_url ELSE poster_url END,
    age_limit = CASE WHEN :changes_age_limit THEN :age_limit ELSE age_limit END
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

-- name: list_concert!
-- Stores the position of a concert in the list: see the function.
SELECT concert_list(ARRAY[:concert_id::uuid]);

-- name: list_due_concerts
-- Stores the positions of concerts of which the sale of a show has ended: see the function.
SELECT concert_list_due(:most);

-- name: listed_concerts
-- The concerts behind a position in the list whose title, artist or venue has a text, and that have a show within
-- a period.
SELECT c.concert_id, c.title, c.artist, c.venue, c.timezone, c.currency,
    c.max_seats_per_user, f.first_date, f.last_date, f.price_from, c.refundable_until, c.guests, f.sale,
    c.listing_rank AS rank
FROM concert AS c
CROSS JOIN LATERAL concert_facts(c.concert_id, statement_timestamp()) AS f
WHERE (c.listing_rank, c.concert_id) > (:after_rank, :after_id)
    AND (:text::text IS NULL OR strpos(c.search, :text) > 0)
    AND (:from_date::date IS NULL AND :to_date::date IS NULL OR EXISTS (
        SELECT FROM show AS s
        WHERE s.concert_id = c.concert_id AND s.cancelled_at IS NULL
            AND s.date BETWEEN coalesce(:from_date, '-infinity') AND coalesce(:to_date, 'infinity')
    ))
ORDER BY c.listing_rank, c.concert_id
LIMIT :most;

-- name: concert_details
-- A concert with its description.
SELECT c.concert_id, c.title, c.artist, c.venue, c.timezone, c.currency, c.max_seats_per_user,
    f.first_date, f.last_date, f.price_from, c.refundable_until, c.guests, f.sale,
    c.description, c.poster_url, c.age_limit
FROM concert AS c
CROSS JOIN LATERAL concert_facts(c.concert_id, statement_timestamp()) AS f
WHERE c.concert_id = :concert_id;

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
