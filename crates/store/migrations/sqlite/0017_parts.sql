-- What belongs to an object and is fetched beside it: checkpoints and events of fine-tuning jobs, and the input files of
-- batches. Each has a state of its own: fetched, truncated, too_large, not_found, forbidden, failed; null if it was not
-- asked for.
ALTER TABLE fine_tuning_jobs ADD COLUMN checkpoints_state TEXT;
ALTER TABLE fine_tuning_jobs ADD COLUMN events_state TEXT;
ALTER TABLE batches ADD COLUMN input_state TEXT;

CREATE TABLE fine_tuning_checkpoints (
    project                     TEXT NOT NULL,
    job_id                      TEXT NOT NULL,
    checkpoint_id               TEXT NOT NULL,
    step_number                 INTEGER,
    fine_tuned_model_checkpoint TEXT,   -- the model at this step
    metrics                     TEXT,
    created_at                  TEXT,
    PRIMARY KEY (project, job_id, checkpoint_id)
) STRICT;

CREATE TABLE fine_tuning_events (
    project    TEXT NOT NULL,
    job_id     TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    created_at TEXT,
    level      TEXT,                    -- info, warn, error
    type       TEXT,                    -- message, metrics
    message    TEXT,
    data       TEXT,
    PRIMARY KEY (project, job_id, event_id)
) STRICT;

CREATE TABLE batch_inputs (
    project    TEXT NOT NULL,
    batch_id   TEXT NOT NULL,
    line       INTEGER NOT NULL,        -- from 1
    custom_id  TEXT,
    method     TEXT,
    url        TEXT,
    body       TEXT,                    -- the body of the request; the whole line if it is not a request
    body_bytes BLOB,
    PRIMARY KEY (project, batch_id, line)
) STRICT;
CREATE INDEX batch_inputs_by_custom_id ON batch_inputs (custom_id);
-- For `landfall doctor`; few rows match.
CREATE INDEX batches_by_forbidden_input ON batches (received_at) WHERE input_state = 'forbidden';
