-- Tables, columns and views are an interface: users write SQL against them. Times are UTC, fixed-width ISO 8601 with
-- microseconds, so that they sort and compare as text. A pair `x`, `x_bytes` holds JSON in the first; bytes that are no
-- JSON, or JSON that PostgreSQL's jsonb refuses, in the second. Every key begins with the project.

CREATE TABLE events (
    project       TEXT NOT NULL,
    webhook_id    TEXT NOT NULL,
    event_id      TEXT,              -- the same under several webhook ids when several endpoints are subscribed
    type          TEXT NOT NULL,
    family        TEXT NOT NULL,
    object_id     TEXT,
    created_at    TEXT,
    received_at   TEXT NOT NULL,
    processed_at  TEXT,
    attempts      INTEGER NOT NULL,
    state         TEXT NOT NULL,     -- received, stored, retrying, dead
    reason        TEXT,
    last_error    TEXT,
    body          TEXT,
    body_bytes    BLOB,
    PRIMARY KEY (project, webhook_id)
) STRICT;
CREATE INDEX events_by_webhook_id ON events (webhook_id);
CREATE INDEX events_by_event_id ON events (event_id);
CREATE INDEX events_by_object_id ON events (object_id);
CREATE INDEX events_by_received_at ON events (received_at);
CREATE INDEX events_by_family ON events (family, state);

CREATE TABLE responses (
    project           TEXT NOT NULL,
    response_id       TEXT NOT NULL,
    status            TEXT,
    model             TEXT,
    output_text       TEXT,
    citations         TEXT,          -- JSON array
    usage             TEXT,          -- JSON
    error             TEXT,          -- JSON
    incomplete_reason TEXT,
    metadata          TEXT,          -- JSON
    created_at        TEXT,
    completed_at      TEXT,
    received_at       TEXT NOT NULL,
    fetch_state       TEXT NOT NULL, -- fetched, off, not_found, expired, forbidden
    fetched_at        TEXT,
    terminal          INTEGER NOT NULL,
    raw               TEXT,
    raw_bytes         BLOB,
    PRIMARY KEY (project, response_id)
) STRICT;
CREATE INDEX responses_by_response_id ON responses (response_id);
CREATE INDEX responses_by_completed_at ON responses (completed_at);

CREATE TABLE batches (
    project            TEXT NOT NULL,
    batch_id           TEXT NOT NULL,
    status             TEXT,
    endpoint           TEXT,
    model              TEXT,
    requests_total     INTEGER,
    requests_completed INTEGER,
    requests_failed    INTEGER,
    usage              TEXT,         -- JSON
    errors             TEXT,         -- JSON: why the input was refused
    metadata           TEXT,         -- JSON
    input_file_id      TEXT,
    output_file_id     TEXT,
    error_file_id      TEXT,
    created_at         TEXT,
    completed_at       TEXT,
    received_at        TEXT NOT NULL,
    rows_stored        INTEGER NOT NULL DEFAULT 0,
    rows_quarantined   INTEGER NOT NULL DEFAULT 0,
    results_complete   INTEGER NOT NULL DEFAULT 0,
    output_next_line   INTEGER NOT NULL DEFAULT 1,
    error_next_line    INTEGER NOT NULL DEFAULT 1,
    fetch_state        TEXT NOT NULL,
    fetched_at         TEXT,
    terminal           INTEGER NOT NULL,
    raw                TEXT,
    raw_bytes          BLOB,
    PRIMARY KEY (project, batch_id)
) STRICT;
CREATE INDEX batches_by_batch_id ON batches (batch_id);

CREATE TABLE batch_results (
    project       TEXT NOT NULL,
    batch_id      TEXT NOT NULL,
    source        TEXT NOT NULL,     -- output, error
    line          INTEGER NOT NULL,  -- from 1, within its file
    custom_id     TEXT,
    status_code   INTEGER,
    request_id    TEXT,
    body          TEXT,              -- JSON: response.body
    body_bytes    BLOB,              -- with quarantined: the whole line
    error         TEXT,              -- JSON
    input_tokens  INTEGER,
    output_tokens INTEGER,
    quarantined   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (project, batch_id, source, line),
    FOREIGN KEY (project, batch_id) REFERENCES batches (project, batch_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX batch_results_by_custom_id ON batch_results (custom_id);

CREATE TABLE fine_tuning_jobs (
    project          TEXT NOT NULL,
    job_id           TEXT NOT NULL,
    status           TEXT,
    base_model       TEXT,
    fine_tuned_model TEXT,
    trained_tokens   INTEGER,
    error            TEXT,           -- JSON
    hyperparameters  TEXT,           -- JSON
    result_files     TEXT,           -- JSON array of file ids
    created_at       TEXT,
    finished_at      TEXT,
    received_at      TEXT NOT NULL,
    fetch_state      TEXT NOT NULL,
    fetched_at       TEXT,
    terminal         INTEGER NOT NULL,
    raw              TEXT,
    raw_bytes        BLOB,
    PRIMARY KEY (project, job_id)
) STRICT;
CREATE INDEX fine_tuning_jobs_by_job_id ON fine_tuning_jobs (job_id);

CREATE TABLE fine_tuned_models (
    project    TEXT NOT NULL,
    model_id   TEXT NOT NULL,
    job_id     TEXT,
    base_model TEXT,
    owned_by   TEXT,
    created_at TEXT,
    fetched_at TEXT,
    raw        TEXT,
    raw_bytes  BLOB,
    PRIMARY KEY (project, model_id)
) STRICT;
CREATE INDEX fine_tuned_models_by_model_id ON fine_tuned_models (model_id);

CREATE TABLE fine_tuning_metrics (
    project        TEXT NOT NULL,
    job_id         TEXT NOT NULL,
    step           INTEGER NOT NULL,
    train_loss     REAL,
    train_accuracy REAL,
    valid_loss     REAL,
    valid_accuracy REAL,
    PRIMARY KEY (project, job_id, step)
) STRICT;

CREATE TABLE eval_runs (
    project     TEXT NOT NULL,
    run_id      TEXT NOT NULL,
    status      TEXT,
    eval_id     TEXT,
    name        TEXT,
    model       TEXT,
    total       INTEGER,
    passed      INTEGER,
    failed      INTEGER,
    errored     INTEGER,
    report_url  TEXT,
    error       TEXT,                -- JSON
    created_at  TEXT,
    received_at TEXT NOT NULL,
    fetch_state TEXT NOT NULL,
    fetched_at  TEXT,
    terminal    INTEGER NOT NULL,
    raw         TEXT,
    raw_bytes   BLOB,
    PRIMARY KEY (project, run_id)
) STRICT;
CREATE INDEX eval_runs_by_run_id ON eval_runs (run_id);

CREATE TABLE files (
    project    TEXT NOT NULL,
    file_id    TEXT NOT NULL,
    object_id  TEXT NOT NULL,
    purpose    TEXT,
    filename   TEXT,
    bytes      INTEGER NOT NULL,
    sha256     TEXT NOT NULL,
    location   TEXT NOT NULL,        -- relative to FILES_URL
    created_at TEXT,
    expires_at TEXT,
    PRIMARY KEY (project, file_id)
) STRICT;
CREATE INDEX files_by_file_id ON files (file_id);
