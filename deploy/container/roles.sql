-- Run once by the image of PostgreSQL, in an empty volume. Neither role is a superuser: the first one migrates, the
-- second one is the instances', and can change neither the schema nor the rows of the ledger.

\getenv migration_password FRONTROW_MIGRATION_PASSWORD
\getenv server_password FRONTROW_SERVER_PASSWORD
CREATE ROLE frontrow_migration LOGIN PASSWORD :'migration_password';
CREATE ROLE frontrow_server LOGIN PASSWORD :'server_password';
CREATE DATABASE frontrow OWNER frontrow_migration ENCODING 'UTF8' TEMPLATE template0;
