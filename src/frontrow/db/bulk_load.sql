-- The foreign keys, other keys and indexes of schema public, each as the statement that drops it and the one
-- that creates it again, in the order in which they must be dropped.
SELECT
    format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname) AS dropping,
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid))
        AS creating,
    CASE c.contype WHEN 'f' THEN 1 ELSE 2 END AS step,
    c.oid
FROM pg_constraint AS c
WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('f', 'p', 'u') AND c.conparentid = 0
UNION ALL
SELECT format('DROP INDEX %s', i.indexrelid::regclass), pg_get_indexdef(i.indexrelid), 3, i.indexrelid
FROM pg_index AS i
INNER JOIN pg_class AS t ON t.oid = i.indrelid
WHERE t.relnamespace = 'public'::regnamespace
    AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
ORDER BY step, oid
