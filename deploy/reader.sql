-- Creates the role landfall_reader, which reads all tables and views and writes none, or gives it the current password. Run
-- it with psql as the role that owns the tables (DATABASE_URL of the workers), with the password in the file below.
\set ON_ERROR_STOP on
\set password `cat "${READER_PASSWORD_FILE:-/run/landfall/reader_password}"`

SELECT :'password' = '' AS has_no_password \gset
\if :has_no_password
DO $$ BEGIN RAISE EXCEPTION 'the file of the password (READER_PASSWORD_FILE) is missing or empty'; END $$;
\endif

BEGIN;
SELECT 'CREATE ROLE landfall_reader' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'landfall_reader') \gexec
-- Few connections, so that the workers always get theirs.
ALTER ROLE landfall_reader LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE CONNECTION LIMIT 20;
ALTER ROLE landfall_reader SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE :"DBNAME" TO landfall_reader;
GRANT USAGE ON SCHEMA public TO landfall_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO landfall_reader;
-- Also those that later versions create.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO landfall_reader;
COMMIT;
