-- Tokens of the console's API. Only the hash of a token is stored; the token is shown once, when it is made.
CREATE TABLE api_tokens (
    name       text NOT NULL PRIMARY KEY,
    role       text NOT NULL,  -- viewer, operator
    sha256     text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
