-- The statements that give the role $1 this database, its schema public and what a superuser owns in it. Objects
-- of extensions, and those of other roles, stay as they are. No rows if nothing is left to change.
WITH superuser AS (
    SELECT oid FROM pg_roles WHERE rolsuper
),

members AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)

SELECT format('ALTER DATABASE %I OWNER TO %I', datname, $1::text)
FROM pg_database
WHERE datname = current_database() AND datdba IN (SELECT oid FROM superuser)
UNION ALL
SELECT format('ALTER SCHEMA public OWNER TO %I', $1::text)
FROM pg_namespace
WHERE nspname = 'public' AND nspowner IN (SELECT oid FROM superuser)
UNION ALL
SELECT format(
    'ALTER %s public.%I OWNER TO %I',
    CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
    c.relname,
    $1::text
)
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v', 'm')
    AND c.relowner IN (SELECT oid FROM superuser)
    AND NOT EXISTS (SELECT FROM members AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
    -- The sequence of a column follows its table.
    AND NOT EXISTS (
        SELECT FROM pg_depend AS d
        WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
    )
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $1::text)
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind <> 'a' AND p.proowner IN (SELECT oid FROM superuser)
    AND NOT EXISTS (SELECT FROM members AS m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
UNION ALL
SELECT format('ALTER TYPE public.%I OWNER TO %I', t.typname, $1::text)
FROM pg_type AS t
WHERE t.typnamespace = 'public'::regnamespace AND t.typtype = 'e' AND t.typowner IN (SELECT oid FROM superuser)
    AND NOT EXISTS (SELECT FROM members AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
