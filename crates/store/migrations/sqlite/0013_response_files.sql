-- Files that a response's code interpreter made. They are fetched after the response is stored, before its event is.
-- file_id is OpenAI's; stored_file_id is that of the row in files, because several responses may name the same file.
CREATE TABLE response_files (
    project          TEXT NOT NULL,
    response_id      TEXT NOT NULL,
    container_id     TEXT NOT NULL,
    file_id          TEXT NOT NULL,
    filename         TEXT,
    state            TEXT NOT NULL,     -- pending, fetched, expired, forbidden
    stored_file_id   TEXT,
    first_attempt_at TEXT NOT NULL,
    PRIMARY KEY (project, response_id, container_id, file_id)
) STRICT;
CREATE INDEX response_files_by_state ON response_files (state) WHERE state <> 'fetched';
