-- Random keys of the console. It signs sessions with a key that it derives from this one and a password, so neither is
-- enough to forge one.
CREATE TABLE console_keys (
    name       text NOT NULL PRIMARY KEY,  -- sessions
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL
);
-- gen_random_uuid() has 122 bits of the server's strong random numbers.
INSERT INTO console_keys (name, secret, created_at)
SELECT 'sessions',
       sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')),
       now();
