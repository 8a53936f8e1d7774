-- Check-in. Conventions as in waiting_room/functions.sql; it locks tickets only, the last level of the
-- documented order.

-- Locks tickets, in the order of their ids.
CREATE OR REPLACE FUNCTION ticket_lock(p_tickets uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (SELECT DISTINCT t FROM unnest(p_tickets) AS t ORDER BY t) AS k (ticket_id)
    CROSS JOIN LATERAL (
        SELECT FROM ticket AS t WHERE t.ticket_id = k.ticket_id FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- Where a seat is: its section, the row within that and the seat within that, from 1 on.
CREATE OR REPLACE FUNCTION ticket_seat(p_show uuid, p_number int)
RETURNS TABLE (section text, "row" int, seat int) LANGUAGE sql STABLE AS $$
    SELECT e.name, (p_number - e.first_number) / e.seats_per_row + 1,
        (p_number - e.first_number) % e.seats_per_row + 1
    FROM show_section AS e
    WHERE e.show_id = p_show AND p_number BETWEEN e.first_number AND e.last_number
$$;

-- The tickets of a payment, by number.
CREATE OR REPLACE FUNCTION ticket_of_payment(p_payment uuid)
RETURNS TABLE (
    ticket_ids uuid[], numbers int[], voids boolean[], checked_in_ats timestamptz[], gates text[]
)
LANGUAGE sql STABLE AS $$
    SELECT array_agg(t.ticket_id ORDER BY t.number), array_agg(t.number ORDER BY t.number),
        array_agg(t.void_at IS NOT NULL ORDER BY t.number),
        array_agg(t.checked_in_at ORDER BY t.number), array_agg(t.gate ORDER BY t.number)
    FROM ticket AS t WHERE t.payment_id = p_payment
$$;

-- Checks tickets in. Their codes are genuine; p_keys are the keys that signed them. p_check_ins are the
-- check-ins' own ids; p_gates names the gate, p_for_shows and p_for_concerts its show and concert (each may be
-- NULL).
-- outcome: checked_in; replayed (the check-in with this id exists); again (an earlier item of these arrays
-- has the same ticket or id); idempotency_key_reused, not_found (no such ticket, or its key is retired),
-- wrong_show (show_id, concert_id), ticket_void (void_reason), already_checked_in (checked_in_at, gate).
-- hot
CREATE OR REPLACE FUNCTION ticket_check_in(
    p_tickets uuid[], p_keys text[], p_check_ins uuid[], p_gates text[], p_for_shows uuid[],
    p_for_concerts uuid[]
)
RETURNS TABLE (
    item int, outcome text, ticket_id uuid, concert_id uuid, title text, show_id uuid, date date,
    starts_at timestamptz, number int, section text, "row" int, seat int, checked_in_at timestamptz,
    gate text, void_reason text
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    final text[];
BEGIN
    PERFORM ticket_lock(p_tickets);
    now := clock_timestamp();
    final := batch_again(
        ticket_check_in_judge(
            p_tickets, p_keys, p_check_ins, p_gates, p_for_shows, p_for_concerts
        ),
        'checked_in', p_tickets, p_check_ins
    );

    UPDATE ticket AS t SET checked_in_at = now, check_in_id = k.check_in_id, gate = k.gate
    FROM unnest(p_tickets, p_check_ins, p_gates, final) AS k (ticket_id, check_in_id, gate, outcome)
    CROSS JOIN LATERAL (
        SELECT t.ctid AS at FROM ticket AS t WHERE t.ticket_id = k.ticket_id OFFSET 0
    ) AS l
    WHERE t.ctid = l.at AND k.outcome = 'checked_in';

    RETURN QUERY
    SELECT k.item::int, k.outcome, t.ticket_id, s.concert_id, c.title, t.show_id, s.date, s.starts_at,
        t.number, e.section, e.row, e.seat, t.checked_in_at, t.gate, t.void_reason
    FROM unnest(p_tickets, final) WITH ORDINALITY AS k (ticket_id, outcome, item)
    LEFT JOIN LATERAL (
        SELECT t.* FROM ticket AS t WHERE t.ticket_id = k.ticket_id OFFSET 0
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT s.* FROM show AS s WHERE s.show_id = t.show_id OFFSET 0
    ) AS s ON true
    LEFT JOIN LATERAL (
        SELECT c.title FROM concert AS c WHERE c.concert_id = s.concert_id OFFSET 0
    ) AS c ON true
    LEFT JOIN LATERAL ticket_seat(t.show_id, t.number) AS e ON true;
END $$;

-- Decides the outcomes of check-ins from the tickets that ticket_check_in has locked.
CREATE OR REPLACE FUNCTION ticket_check_in_judge(
    p_tickets uuid[], p_keys text[], p_check_ins uuid[], p_gates text[], p_for_shows uuid[],
    p_for_concerts uuid[], OUT outcomes text[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT array_agg(
        CASE
            WHEN mine.ticket_id = k.ticket_id AND mine.gate IS NOT DISTINCT FROM k.gate
                THEN 'replayed'
            WHEN mine.ticket_id IS NOT NULL THEN 'idempotency_key_reused'
            WHEN t.ticket_id IS NULL OR y.key_id IS NULL THEN 'not_found'
            WHEN t.show_id <> k.for_show OR s.concert_id <> k.for_concert THEN 'wrong_show'
            WHEN t.void_at IS NOT NULL THEN 'ticket_void'
            WHEN t.checked_in_at IS NOT NULL THEN 'already_checked_in'
            ELSE 'checked_in'
        END ORDER BY k.item
    )
    INTO outcomes
    FROM unnest(p_tickets, p_keys, p_check_ins, p_gates, p_for_shows, p_for_concerts)
        WITH ORDINALITY AS k (ticket_id, key_id, check_in_id, gate, for_show, for_concert, item)
    LEFT JOIN LATERAL (
        SELECT t.ticket_id, t.show_id, t.checked_in_at, t.void_at FROM ticket AS t
        WHERE t.ticket_id = k.ticket_id
        OFFSET 0
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT t.ticket_id, t.gate FROM ticket AS t WHERE t.check_in_id = k.check_in_id OFFSET 0
    ) AS mine ON true
    LEFT JOIN LATERAL (
        SELECT y.key_id FROM signing_key AS y
        WHERE y.key_id = k.key_id AND y.purpose = 'ticket' AND y.retired_at IS NULL
        OFFSET 0
    ) AS y ON true
    LEFT JOIN LATERAL (
        SELECT s.concert_id FROM show AS s WHERE s.show_id = t.show_id OFFSET 0
    ) AS s ON true;
END $$;
