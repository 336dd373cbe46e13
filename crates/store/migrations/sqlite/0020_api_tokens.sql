-- Tokens of the console's API. Only the hash of a token is stored; the token is shown once, when it is made.
CREATE TABLE api_tokens (
    name       TEXT NOT NULL PRIMARY KEY,
    role       TEXT NOT NULL,  -- viewer, operator
    sha256     TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT;
