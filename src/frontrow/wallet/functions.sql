-- Wallets and the ledger. Every change of a balance is one row of the ledger, written in the same statement.
-- Conventions as in waiting_room/functions.sql.

-- Creates the wallets that are missing.
CREATE OR REPLACE FUNCTION wallet_open(p_users uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO wallet (user_id)
    SELECT k.user_id FROM (SELECT DISTINCT u FROM unnest(p_users) AS u ORDER BY u) AS k (user_id)
    ON CONFLICT DO NOTHING;
END $$;

-- Locks wallets by user.
CREATE OR REPLACE FUNCTION wallet_lock(p_users uuid[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM (SELECT DISTINCT u FROM unnest(p_users) AS u ORDER BY u) AS k (user_id)
    CROSS JOIN LATERAL (
        SELECT FROM wallet AS w WHERE w.user_id = k.user_id FOR NO KEY UPDATE
    ) AS locked;
END $$;

-- Posts transfers, at most one for each wallet: the balance and the row of the ledger together. The
-- wallets are locked. The other side is a house account: cash for a charge, sales for the rest.
CREATE OR REPLACE FUNCTION wallet_post(
    p_transfers uuid[], p_users uuid[], p_amounts bigint[], p_references uuid[],
    p_kind transfer_kind, p_now timestamptz
)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    house CONSTANT uuid := (
        SELECT account_id FROM house_account
        WHERE name = CASE p_kind WHEN 'charge' THEN 'cash' ELSE 'sales' END
    );
    paying CONSTANT boolean := p_kind = 'payment';
BEGIN
    WITH moved AS (
        UPDATE wallet AS w
        SET balance = w.balance + CASE WHEN paying THEN -k.amount ELSE k.amount END,
            entries = w.entries + 1
        FROM unnest(p_transfers, p_users, p_amounts, p_references)
            AS k (transfer_id, user_id, amount, reference)
        CROSS JOIN LATERAL (
            SELECT w.ctid AS at FROM wallet AS w WHERE w.user_id = k.user_id OFFSET 0
        ) AS l
        WHERE w.ctid = l.at
        RETURNING k.*, w.balance, w.entries
    )
    INSERT INTO transfer (
        transfer_id, user_id, entry, kind, debit_account, credit_account, amount, balance, reference,
        created_at
    )
    SELECT m.transfer_id, m.user_id, m.entries, p_kind,
        CASE WHEN paying THEN m.user_id ELSE house END,
        CASE WHEN paying THEN house ELSE m.user_id END,
        m.amount, m.balance, m.reference, p_now
    FROM moved AS m
    ORDER BY m.transfer_id;
END $$;

-- Charges wallets of admitted users.
-- outcome: charged; replayed; again (an earlier item of these arrays charges the same wallet);
-- idempotency_key_reused, credential_invalid, token_finished (reason), not_admitted.
-- hot
CREATE OR REPLACE FUNCTION wallet_charge(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_transfers uuid[],
    p_amounts bigint[]
)
RETURNS TABLE (
    item int, outcome text, reason finish_reason, balance bigint, created_at timestamptz
)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    now timestamptz;
    judged record;
    final text[];
    charged record;
BEGIN
    PERFORM waiting_room_lock(p_rooms, p_numbers);
    PERFORM wallet_open(p_users);
    PERFORM wallet_lock(p_users);
    now := clock_timestamp();
    PERFORM waiting_room_claim(p_rooms, p_numbers, p_places, now);

    judged := wallet_charge_judge(
        p_rooms, p_numbers, p_places, p_users, p_transfers, p_amounts, now
    );
    final := batch_again(judged.outcomes, 'charged', p_users);

    SELECT array_agg(k.transfer_id) AS transfers, array_agg(k.user_id) AS users,
        array_agg(k.amount) AS amounts
    INTO charged
    FROM unnest(final, p_transfers, p_users, p_amounts)
        AS k (outcome, transfer_id, user_id, amount)
    WHERE k.outcome = 'charged';
    PERFORM wallet_post(
        charged.transfers, charged.users, charged.amounts, NULL::uuid[], 'charge', now
    );

    RETURN QUERY
    SELECT k.item::int, k.outcome, k.reason, t.balance, t.created_at
    FROM unnest(final, judged.reasons, p_transfers, p_users)
        WITH ORDINALITY AS k (outcome, reason, transfer_id, user_id, item)
    LEFT JOIN LATERAL (
        SELECT t.user_id, t.balance, t.created_at FROM transfer AS t
        WHERE t.transfer_id = k.transfer_id AND k.outcome IN ('charged', 'replayed') OFFSET 0
    ) AS t ON t.user_id = k.user_id;
END $$;

-- Decides the outcomes of charges from the rows that wallet_charge has locked.
CREATE OR REPLACE FUNCTION wallet_charge_judge(
    p_rooms int[], p_numbers int[], p_places uuid[], p_users uuid[], p_transfers uuid[],
    p_amounts bigint[], p_now timestamptz, OUT outcomes text[], OUT reasons finish_reason[]
)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    SELECT array_agg(
            CASE
                WHEN old.amount = k.amount AND old.kind = 'charge' THEN 'replayed'
                WHEN old.amount IS NOT NULL THEN 'idempotency_key_reused'
                WHEN standing <> 'admitted' THEN standing
                ELSE 'charged'
            END ORDER BY k.item
        ),
        array_agg(
            waiting_room_reason(p.state, p.reason, p.expires_at, p_now) ORDER BY k.item
        )
    INTO outcomes, reasons
    FROM unnest(p_rooms, p_numbers, p_places, p_users, p_transfers, p_amounts)
        WITH ORDINALITY AS k (room_id, number, place_id, user_id, transfer_id, amount, item)
    LEFT JOIN LATERAL (
        SELECT p.place_id, p.state, p.reason, p.expires_at FROM place AS p
        WHERE p.room_id = k.room_id AND p.number = k.number OFFSET 0
    ) AS p ON true
    CROSS JOIN LATERAL waiting_room_standing(
        p.place_id, p.state, p.expires_at, k.place_id, p_now
    ) AS standing
    LEFT JOIN LATERAL (
        SELECT t.user_id, t.amount, t.kind FROM transfer AS t
        WHERE t.transfer_id = k.transfer_id OFFSET 0
    ) AS old ON old.user_id = k.user_id;
END $$;
