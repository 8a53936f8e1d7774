-- The statements that pin the plans of the functions named in $1: one generic plan for arguments of any
-- size, look-ups by index only. Of several functions with one name, only what this transaction has
-- created or replaced is pinned: older servers may still call the others.
SELECT format(
    'ALTER FUNCTION %s'
    ' SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off'
    ' SET enable_mergejoin = off SET enable_material = off SET plan_cache_mode = force_generic_plan',
    p.oid::regprocedure
)
FROM pg_proc AS p
WHERE p.proname = ANY ($1::text[]) AND p.pronamespace = 'public'::regnamespace
    AND p.xmin = pg_current_xact_id()::xid
ORDER BY p.oid
