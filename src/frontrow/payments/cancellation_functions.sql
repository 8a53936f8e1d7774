-- Cancels shows: first the sale ends, in one transaction, then the purchases are refunded in steps.
-- Conventions as in waiting_room/functions.sql; lock order show → cancellations → reservations → seats →
-- wallets → payments, tickets.

-- Cancels a show: from now on none of its seats can be held or paid, and its holds are released. A second call
-- changes nothing. Returns whether the show exists.
-- hot
CREATE OR REPLACE FUNCTION payment_cancel_show(p_show uuid)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz;
    holds uuid[];
BEGIN
    -- Holds, payments and refunds lock the show shared: this waits for those in progress, and later ones see
    -- the cancellation.
    PERFORM FROM show AS s WHERE s.show_id = p_show FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM FROM cancellation AS c WHERE c.show_id = p_show;
    IF FOUND THEN
        RETURN true;
    END IF;
    SELECT coalesce(array_agg(r.reservation_id), '{}') INTO holds FROM reservation AS r
    WHERE r.state = 'held' AND r.show_id = p_show;
    PERFORM reservation_lock(holds);
    now := clock_timestamp();
    PERFORM reservation_close(holds, now);
    UPDATE show AS s SET cancelled_at = now, sales_end_at = least(s.sales_end_at, now)
    WHERE s.show_id = p_show;
    PERFORM concert_list(array(SELECT s.concert_id FROM show AS s WHERE s.show_id = p_show));
    INSERT INTO cancellation (show_id, payments_total, started_at, finished_at)
    SELECT p_show, count(DISTINCT t.payment_id), now, CASE WHEN count(*) = 0 THEN now END
    FROM ticket AS t WHERE t.show_id = p_show AND t.void_at IS NULL;
    RETURN true;
END $$;

-- Refunds the next payments of a cancelled show, in order of seats, for up to p_limit tickets. One call at a
-- time works on a show; the next call continues where the last committed one ended.
-- state: running; finished; busy (another call works on it); NULL (it isn't cancelled).
-- hot
CREATE OR REPLACE FUNCTION payment_cancel_step(
    p_show uuid, p_limit int, OUT state text, OUT payments int, OUT amount bigint
)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now timestamptz;
    done_before int;
    done int;
    tickets int;
    due uuid[];
    reservations uuid[];
    users uuid[];
BEGIN
    payments := 0;
    amount := 0;
    PERFORM reservation_lock_shows(ARRAY[p_show]);
    SELECT c.done_to INTO done_before FROM cancellation AS c
    WHERE c.show_id = p_show AND c.finished_at IS NULL
    FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        SELECT CASE WHEN c.finished_at IS NULL THEN 'busy' ELSE 'finished' END INTO state
        FROM cancellation AS c WHERE c.show_id = p_show;
        RETURN;
    END IF;

    -- A cancelled show gets no more tickets, and a refund locks the cancellation too: these remain due.
    SELECT array_agg(DISTINCT t.payment_id), coalesce(max(t.number), done_before), count(*)
    INTO due, done, tickets
    FROM (
        SELECT t.payment_id, t.number FROM ticket AS t
        WHERE t.show_id = p_show AND t.number > done_before AND t.void_at IS NULL
        ORDER BY t.number LIMIT p_limit
    ) AS t;
    SELECT array_agg(y.reservation_id), array_agg(y.user_id), coalesce(sum(y.amount), 0)
    INTO reservations, users, amount
    FROM unnest(due) AS k (payment_id)
    CROSS JOIN LATERAL (
        SELECT y.reservation_id, y.user_id, y.amount FROM payment AS y
        WHERE y.payment_id = k.payment_id
        OFFSET 0
    ) AS y;
    PERFORM reservation_lock(reservations);
    PERFORM wallet_lock(users);
    PERFORM payment_lock(due);
    now := clock_timestamp();

    IF due IS NOT NULL THEN
        payments := cardinality(due);
        PERFORM payment_refund_apply(
            ARRAY(SELECT gen_random_uuid() FROM unnest(due)), due,
            array_fill('show_cancelled'::refund_reason, ARRAY[payments]), now
        );
    END IF;
    UPDATE cancellation AS c
    SET done_to = done, finished_at = CASE WHEN tickets < p_limit THEN now END
    WHERE c.show_id = p_show;
    state := CASE WHEN tickets < p_limit THEN 'finished' ELSE 'running' END;
END $$;
