-- What belongs to an object and is fetched beside it: checkpoints and events of fine-tuning jobs, and the input files of
-- batches. Each has a state of its own: fetched, truncated, too_large, not_found, forbidden, failed; null if it was not
-- asked for.
ALTER TABLE fine_tuning_jobs ADD COLUMN checkpoints_state text;
ALTER TABLE fine_tuning_jobs ADD COLUMN events_state text;
ALTER TABLE batches ADD COLUMN input_state text;

CREATE TABLE fine_tuning_checkpoints (
    project                     text NOT NULL,
    job_id                      text NOT NULL,
    checkpoint_id               text NOT NULL,
    step_number                 bigint,
    fine_tuned_model_checkpoint text,   -- the model at this step
    metrics                     jsonb,
    created_at                  timestamptz,
    PRIMARY KEY (project, job_id, checkpoint_id)
);

CREATE TABLE fine_tuning_events (
    project    text NOT NULL,
    job_id     text NOT NULL,
    event_id   text NOT NULL,
    created_at timestamptz,
    level      text,                    -- info, warn, error
    type       text,                    -- message, metrics
    message    text,
    data       jsonb,
    PRIMARY KEY (project, job_id, event_id)
);

CREATE TABLE batch_inputs (
    project    text NOT NULL,
    batch_id   text NOT NULL,
    line       bigint NOT NULL,         -- from 1
    custom_id  text,
    method     text,
    url        text,
    body       jsonb,                   -- the body of the request; the whole line if it is not a request
    body_bytes bytea,
    PRIMARY KEY (project, batch_id, line)
);
-- A custom_id may have any length.
CREATE INDEX batch_inputs_by_custom_id ON batch_inputs USING hash (custom_id);
-- For `landfall doctor`; few rows match.
CREATE INDEX batches_by_forbidden_input ON batches (received_at) WHERE input_state = 'forbidden';
