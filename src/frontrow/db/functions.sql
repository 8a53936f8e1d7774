-- Functions that all features use.

-- Replaces an outcome by 'again' where an earlier item with the wanted outcome has the same key, or the same
-- other key: that item decides first, and the caller runs the later one in the next batch.
CREATE OR REPLACE FUNCTION batch_again(
    outcomes text[], p_wanted text, p_keys uuid[], p_others uuid[] DEFAULT NULL
)
RETURNS text[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF cardinality(outcomes) = 1 THEN
        RETURN outcomes;
    END IF;
    RETURN ARRAY(
        SELECT CASE
            WHEN k.outcome = p_wanted AND k.item > least(
                min(k.item) FILTER (WHERE k.outcome = p_wanted) OVER (PARTITION BY k.key),
                min(k.item) FILTER (WHERE k.outcome = p_wanted AND k.other IS NOT NULL)
                    OVER (PARTITION BY k.other)
            ) THEN 'again'
            ELSE k.outcome
        END
        FROM unnest(outcomes, p_keys, p_others) WITH ORDINALITY AS k (outcome, key, other, item)
        ORDER BY k.item
    );
END $$;
