-- Refunds
-- depends: 0009_user_keys

-- migrate: apply

CREATE TYPE refund_reason AS ENUM ('operator', 'buyer', 'show_cancelled');

-- The time until which buyers may ask for refunds; NULL: never.
ALTER TABLE concert ADD refundable_until timestamptz;

ALTER TABLE payment
    -- Who asked for the refund, or that the show was cancelled.
    ADD refund_reason refund_reason,
    ADD CHECK ((state = 'refunded') = (refund_reason IS NOT NULL));

-- A payment is refunded once; also the look-up of its refund.
CREATE UNIQUE INDEX transfer_refund ON transfer (reference) WHERE kind = 'refund';

-- Its successor has other parameters.
DROP FUNCTION IF EXISTS concert_create(
    uuid, bigint, text, text, text, text, text, int, int, jsonb, int, int, timestamptz, timestamptz,
    text, text
);

-- migrate: rollback

DROP INDEX transfer_refund;
ALTER TABLE payment DROP refund_reason;
ALTER TABLE concert DROP refundable_until;
DROP TYPE refund_reason;
