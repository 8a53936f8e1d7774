-- The statements that grant the role $1 the application's rights in schema public, and no more. It may only
-- insert into the tables $2, and only read tables with a leading underscore.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), $1::text)
UNION ALL
SELECT format('GRANT USAGE ON SCHEMA public TO %I', $1::text)
UNION ALL
SELECT format('REVOKE CREATE ON SCHEMA public FROM PUBLIC, %I', $1::text)
UNION ALL
SELECT format('REVOKE ALL ON TABLE public.%I FROM %I', relname, $1::text)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT format(
    'GRANT %s ON TABLE public.%I TO %I',
    CASE
        WHEN starts_with(relname, '_') OR relkind IN ('v', 'm') THEN 'SELECT'
        WHEN relname = ANY ($2::text[]) THEN 'SELECT, INSERT'
        ELSE 'SELECT, INSERT, UPDATE, DELETE'
    END,
    relname,
    $1::text
)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO %I', $1::text)
UNION ALL
SELECT format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO %I', $1::text)
