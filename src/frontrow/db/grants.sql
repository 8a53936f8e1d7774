-- The statements that give the role $1 what the application needs in schema public, and no more.
-- $2: tables it may only add rows to; tables named with a leading underscore it may only read.
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
