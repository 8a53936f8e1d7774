-- Refunds
-- depends: 0009_user_keys

-- migrate: apply

CREATE TYPE refund_reason AS ENUM ('operator', 'buyer', 'show_cancelled');

-- Until when buyers may give back what they bought; NULL: never.
ALTER TABLE concert ADD refundable_until timestamptz;

ALTER TABLE payment
    -- Who wanted the refund, or what made it due.
    ADD refund_reason refund_reason,
    ADD CHECK ((state = 'refunded') = (refund_reason IS NOT NULL));

-- A payment is refunded once; also how its refund is found.
CREATE UNIQUE INDEX transfer_refund ON transfer (reference) WHERE kind = 'refund';

-- Its successor takes other arguments.
DROP FUNCTION IF EXISTS concert_create(
    uuid, bigint, text, text, text, text, text, int, int, jsonb, int, int, timestamptz, timestamptz,
    text, text
);

-- migrate: rollback

DROP INDEX transfer_refund;
ALTER TABLE payment DROP refund_reason;
ALTER TABLE concert DROP refundable_until;
DROP TYPE refund_reason;
