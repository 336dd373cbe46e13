-- Files that a response's code interpreter made. They are fetched after the response is stored, before its event is.
-- file_id is OpenAI's; stored_file_id is that of the row in files, because several responses may name the same file.
CREATE TABLE response_files (
    project          text NOT NULL,
    response_id      text NOT NULL,
    container_id     text NOT NULL,
    file_id          text NOT NULL,
    filename         text,
    state            text NOT NULL,     -- pending, fetched, expired, forbidden
    stored_file_id   text,
    first_attempt_at timestamptz NOT NULL,
    PRIMARY KEY (project, response_id, container_id, file_id)
);
CREATE INDEX response_files_by_state ON response_files (state) WHERE state <> 'fetched';
