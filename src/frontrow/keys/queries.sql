-- name: add_key
-- Adds a key of a purpose: see the function.
SELECT outcome, key_id, signs_at FROM signing_key_add(
    :write_id, :purpose, :key_id, :secret, :public_key, :lead_seconds, :first
);

-- name: retire_key
-- Retires a key: see the function.
SELECT signing_key_retire(:purpose, :key_id);

-- name: retire_old_keys
-- Retires the keys of a purpose whose successor has signed for long enough: see the function.
SELECT signing_key_retire_old(:purpose, :overlap_seconds);

-- name: keys_of
-- The keys of a purpose that aren't retired, in the order in which they sign, and the time now.
SELECT key_id, secret, public_key, signs_at, clock_timestamp() AS now
FROM signing_key WHERE purpose = :purpose AND retired_at IS NULL
ORDER BY signs_at, key_id;

-- name: described_keys
-- All keys of a purpose, retired ones too, without their secrets; `state` as docs/guides/tickets.md has it.
SELECT k.key_id, k.public_key, k.signs_at, k.retired_at, CASE
    WHEN k.retired_at IS NOT NULL THEN 'retired'
    WHEN k.signs_at > clock_timestamp() THEN 'coming'
    WHEN k.key_id = signing_key_in_use(k.purpose, clock_timestamp()) THEN 'signing'
    ELSE 'accepted'
END AS state
FROM signing_key AS k WHERE k.purpose = :purpose
ORDER BY k.signs_at, k.key_id;
