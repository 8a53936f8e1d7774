-- Retention: which places are no longer kept
-- depends: 0010_refunds

-- migrate: apply

ALTER TABLE waiting_room
    -- The places 1..pruned_to are no longer kept; so many of them had been called. The others had left
    -- while waiting: they were finished, all of them.
    ADD pruned_to int NOT NULL DEFAULT 0,
    ADD pruned_called int NOT NULL DEFAULT 0,
    ADD CHECK (pruned_to BETWEEN 0 AND serving),
    ADD CHECK (pruned_called BETWEEN 0 AND pruned_to);
-- How many of those who were called then are no longer kept; none are left of a row that is deleted.
ALTER TABLE admission ADD pruned int NOT NULL DEFAULT 0, ADD CHECK (pruned BETWEEN 0 AND admitted - 1);

-- migrate: rollback

ALTER TABLE admission DROP pruned;
ALTER TABLE waiting_room DROP pruned_to, DROP pruned_called;
