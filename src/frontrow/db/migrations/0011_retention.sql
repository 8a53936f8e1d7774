-- Retention: the places that are pruned
-- depends: 0010_refunds

-- migrate: apply

ALTER TABLE waiting_room
    -- The places 1..pruned_to are pruned, and how many of them had been admitted. The others had left while
    -- waiting; all were finished.
    ADD pruned_to int NOT NULL DEFAULT 0,
    ADD pruned_called int NOT NULL DEFAULT 0,
    ADD CHECK (pruned_to BETWEEN 0 AND serving),
    ADD CHECK (pruned_called BETWEEN 0 AND pruned_to);
-- How many places of this admission are pruned; a row is deleted when all are.
ALTER TABLE admission ADD pruned int NOT NULL DEFAULT 0, ADD CHECK (pruned BETWEEN 0 AND admitted - 1);

-- migrate: rollback

ALTER TABLE admission DROP pruned;
ALTER TABLE waiting_room DROP pruned_to, DROP pruned_called;
