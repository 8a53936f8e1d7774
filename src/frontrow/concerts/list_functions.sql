-- The list of concerts.

-- Returns what the shows of a concert add up to. Cancelled shows don't count.
CREATE OR REPLACE FUNCTION concert_facts(p_concert_id uuid, p_now timestamptz)
RETURNS TABLE (
    sale text, next_date date, first_date date, last_date date, price_from bigint, changes_at timestamptz
)
LANGUAGE sql STABLE AS $$
    SELECT max(o.sale), min(s.date) FILTER (WHERE o.sale = 'open'),
        min(s.date) FILTER (WHERE o.sale <> 'cancelled'),
        max(s.date) FILTER (WHERE o.sale <> 'cancelled'),
        min(s.price_from) FILTER (WHERE o.sale <> 'cancelled'),
        min(s.sales_end_at) FILTER (WHERE o.sale = 'open')
    FROM show AS s
    CROSS JOIN LATERAL show_sale(s.sales_end_at, s.cancelled_at, p_now) AS o (sale)
    WHERE s.concert_id = p_concert_id;
$$;

-- Stores the positions of concerts in the list, after a change of their shows. Concerts on sale come first, by
-- the day of the next show; then those that have ended, the latest first; then those without a show.
-- hot
CREATE OR REPLACE FUNCTION concert_list(p_concert_ids uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz;
BEGIN
    PERFORM FROM concert AS c WHERE c.concert_id = ANY (p_concert_ids)
    ORDER BY c.concert_id FOR NO KEY UPDATE;
    now := clock_timestamp();
    UPDATE concert AS c SET
        listing_rank = coalesce(
            f.next_date - DATE '1970-01-01', 10000000 - (f.last_date - DATE '1970-01-01'), 20000000
        ),
        listing_changes_at = coalesce(f.changes_at, 'infinity')
    FROM unnest(p_concert_ids) AS k (concert_id)
    CROSS JOIN LATERAL concert_facts(k.concert_id, now) AS f
    WHERE c.concert_id = k.concert_id;
END $$;

-- Stores the positions of the concerts of which the sale of a show has ended since they were stored, up to
-- p_limit of them. Returns their number.
CREATE OR REPLACE FUNCTION concert_list_due(p_limit int)
RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz := clock_timestamp();
    due uuid[];
BEGIN
    SELECT array_agg(c.concert_id) INTO due FROM (
        SELECT d.concert_id FROM concert AS d WHERE d.listing_changes_at <= now
        ORDER BY d.listing_changes_at LIMIT p_limit
    ) AS c;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM concert_list(due);
    RETURN cardinality(due);
END $$;
