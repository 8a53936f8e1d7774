-- Payments by concert, newest first: for the operator's pages
-- depends: 0015_erasure

-- migrate: apply

CREATE INDEX payment_of_concert ON payment (concert_id, paid_at, payment_id);

-- migrate: rollback

DROP INDEX payment_of_concert;
