-- name: charge
-- Charges wallets: see the function.
SELECT outcome, reason, balance, created_at
FROM wallet_charge(:room_id, :number, :place_id, :user_id, :transfer_id, :amount)
ORDER BY item;

-- name: balances
-- The balances of users, in the order of the array.
SELECT coalesce(w.balance, 0) AS balance
FROM unnest(:user_ids::uuid[]) WITH ORDINALITY AS k (user_id, item)
LEFT JOIN LATERAL (
    SELECT w.balance FROM wallet AS w WHERE w.user_id = k.user_id
) AS w ON true
ORDER BY k.item;

-- name: transfers
-- A page of a user's transfers, newest first, before an entry of that user's ledger.
SELECT transfer_id, kind, amount, balance, reference, created_at, entry FROM transfer
WHERE user_id = :user_id AND entry < :before
ORDER BY entry DESC LIMIT :limit;
