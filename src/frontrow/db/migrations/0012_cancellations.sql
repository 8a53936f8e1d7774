-- Shows that are cancelled
-- depends: 0011_retention

-- migrate: apply

ALTER TABLE show
    -- From this time nothing of it is sold or paid.
    ADD cancelled_at timestamptz,
    ADD CHECK (sales_end_at <= cancelled_at);

-- The progress of a cancelled show's refunds.
CREATE TABLE cancellation (
    show_id uuid PRIMARY KEY REFERENCES show,
    payments_total int NOT NULL,
    payments_refunded int NOT NULL DEFAULT 0,
    seats_freed int NOT NULL DEFAULT 0,
    amount_refunded bigint NOT NULL DEFAULT 0,
    -- The seats up to this number are refunded.
    done_to int NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    CHECK (payments_refunded BETWEEN 0 AND payments_total),
    CHECK (finished_at IS NULL OR payments_refunded = payments_total)
);
CREATE INDEX cancellation_running ON cancellation (started_at) WHERE finished_at IS NULL;

-- migrate: rollback

DROP TABLE cancellation;
ALTER TABLE show DROP cancelled_at;
