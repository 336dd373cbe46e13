-- Tables, columns and views are an interface: users write SQL against them. Names are those of SQLite's schema. A pair
-- `x`, `x_bytes` holds JSON in the first; bytes that are no JSON, or JSON that jsonb refuses (U+0000, lone surrogates,
-- numbers out of range), in the second. Every key begins with the project.

CREATE TABLE events (
    project       text NOT NULL,
    webhook_id    text NOT NULL,
    event_id      text,              -- the same under several webhook ids when several endpoints are subscribed
    type          text NOT NULL,
    family        text NOT NULL,
    object_id     text,
    created_at    timestamptz,
    received_at   timestamptz NOT NULL,
    processed_at  timestamptz,
    attempts      bigint NOT NULL,
    state         text NOT NULL,     -- received, stored, retrying, dead
    reason        text,
    last_error    text,
    body          json,              -- not jsonb: every byte as it came
    body_bytes    bytea,
    PRIMARY KEY (project, webhook_id)
);
CREATE INDEX events_by_webhook_id ON events (webhook_id);
CREATE INDEX events_by_event_id ON events (event_id);
CREATE INDEX events_by_object_id ON events (object_id);
CREATE INDEX events_by_received_at ON events (received_at);
CREATE INDEX events_by_family ON events (family, state);

CREATE TABLE responses (
    project           text NOT NULL,
    response_id       text NOT NULL,
    status            text,
    model             text,
    output_text       text,
    citations         jsonb,
    usage             jsonb,
    error             jsonb,
    incomplete_reason text,
    metadata          jsonb,
    created_at        timestamptz,
    completed_at      timestamptz,
    received_at       timestamptz NOT NULL,
    fetch_state       text NOT NULL, -- fetched, off, not_found, expired, forbidden
    fetched_at        timestamptz,
    terminal          boolean NOT NULL,
    raw               jsonb,
    raw_bytes         bytea,
    PRIMARY KEY (project, response_id)
);
CREATE INDEX responses_by_response_id ON responses (response_id);
CREATE INDEX responses_by_completed_at ON responses (completed_at);

CREATE TABLE batches (
    project            text NOT NULL,
    batch_id           text NOT NULL,
    status             text,
    endpoint           text,
    model              text,
    requests_total     bigint,
    requests_completed bigint,
    requests_failed    bigint,
    usage              jsonb,
    errors             jsonb,         -- why the input was refused
    metadata           jsonb,
    input_file_id      text,
    output_file_id     text,
    error_file_id      text,
    created_at         timestamptz,
    completed_at       timestamptz,
    received_at        timestamptz NOT NULL,
    rows_stored        bigint NOT NULL DEFAULT 0,
    rows_quarantined   bigint NOT NULL DEFAULT 0,
    results_complete   boolean NOT NULL DEFAULT FALSE,
    output_next_line   bigint NOT NULL DEFAULT 1,
    error_next_line    bigint NOT NULL DEFAULT 1,
    fetch_state        text NOT NULL,
    fetched_at         timestamptz,
    terminal           boolean NOT NULL,
    raw                jsonb,
    raw_bytes          bytea,
    PRIMARY KEY (project, batch_id)
);
CREATE INDEX batches_by_batch_id ON batches (batch_id);

CREATE TABLE batch_results (
    project       text NOT NULL,
    batch_id      text NOT NULL,
    source        text NOT NULL,     -- output, error
    line          bigint NOT NULL,   -- from 1, within its file
    custom_id     text,
    status_code   bigint,
    request_id    text,
    body          jsonb,              -- response.body
    body_bytes    bytea,              -- with quarantined: the whole line
    error         jsonb,
    input_tokens  bigint,
    output_tokens bigint,
    quarantined   boolean NOT NULL DEFAULT FALSE,
    PRIMARY KEY (project, batch_id, source, line)
    -- No foreign key: it would look its batch up once a row. Rows only go in under their batch's lock.
);
CREATE INDEX batch_results_by_custom_id ON batch_results (custom_id);

CREATE TABLE fine_tuning_jobs (
    project          text NOT NULL,
    job_id           text NOT NULL,
    status           text,
    base_model       text,
    fine_tuned_model text,
    trained_tokens   bigint,
    error            jsonb,
    hyperparameters  jsonb,
    result_files     jsonb,           -- array of file ids
    created_at       timestamptz,
    finished_at      timestamptz,
    received_at      timestamptz NOT NULL,
    fetch_state      text NOT NULL,
    fetched_at       timestamptz,
    terminal         boolean NOT NULL,
    raw              jsonb,
    raw_bytes        bytea,
    PRIMARY KEY (project, job_id)
);
CREATE INDEX fine_tuning_jobs_by_job_id ON fine_tuning_jobs (job_id);

CREATE TABLE fine_tuned_models (
    project    text NOT NULL,
    model_id   text NOT NULL,
    job_id     text,
    base_model text,
    owned_by   text,
    created_at timestamptz,
    fetched_at timestamptz,
    raw        jsonb,
    raw_bytes  bytea,
    PRIMARY KEY (project, model_id)
);
CREATE INDEX fine_tuned_models_by_model_id ON fine_tuned_models (model_id);

CREATE TABLE fine_tuning_metrics (
    project        text NOT NULL,
    job_id         text NOT NULL,
    step           bigint NOT NULL,
    train_loss     double precision,
    train_accuracy double precision,
    valid_loss     double precision,
    valid_accuracy double precision,
    PRIMARY KEY (project, job_id, step)
);

CREATE TABLE eval_runs (
    project     text NOT NULL,
    run_id      text NOT NULL,
    status      text,
    eval_id     text,
    name        text,
    model       text,
    total       bigint,
    passed      bigint,
    failed      bigint,
    errored     bigint,
    report_url  text,
    error       jsonb,
    created_at  timestamptz,
    received_at timestamptz NOT NULL,
    fetch_state text NOT NULL,
    fetched_at  timestamptz,
    terminal    boolean NOT NULL,
    raw         jsonb,
    raw_bytes   bytea,
    PRIMARY KEY (project, run_id)
);
CREATE INDEX eval_runs_by_run_id ON eval_runs (run_id);

CREATE TABLE files (
    project    text NOT NULL,
    file_id    text NOT NULL,
    object_id  text NOT NULL,
    purpose    text,
    filename   text,
    bytes      bigint NOT NULL,
    sha256     text NOT NULL,
    location   text NOT NULL,        -- relative to FILES_URL
    created_at timestamptz,
    expires_at timestamptz,
    PRIMARY KEY (project, file_id)
);
CREATE INDEX files_by_file_id ON files (file_id);

-- Bodies are compressed by lz4 where the server was built with it (PostgreSQL 14 or newer): a third less work than by the
-- default. Where it was not, nothing else changes.
DO $$
DECLARE
    wide text[];
BEGIN
    FOREACH wide SLICE 1 IN ARRAY ARRAY[
        ['batch_results', 'body'], ['batch_results', 'body_bytes'], ['batch_results', 'error'],
        ['responses', 'raw'], ['responses', 'raw_bytes'], ['responses', 'output_text'], ['events', 'body'],
        ['events', 'body_bytes']
    ] LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET COMPRESSION lz4', wide[1], wide[2]);
    END LOOP;
EXCEPTION
    WHEN feature_not_supported OR syntax_error OR invalid_parameter_value THEN NULL;
END
$$;
