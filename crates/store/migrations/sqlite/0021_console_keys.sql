-- Random keys of the console. It signs sessions with a key that it derives from this one and a password, so neither is
-- enough to forge one.
CREATE TABLE console_keys (
    name       TEXT NOT NULL PRIMARY KEY,  -- sessions
    secret     BLOB NOT NULL,
    created_at TEXT NOT NULL
) STRICT;
INSERT INTO console_keys (name, secret, created_at)
VALUES ('sessions', randomblob(32), strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'));
