-- Safety alerts of the project. A row is joined with the response that caused the alert.
CREATE TABLE safety_alerts (
    project              text NOT NULL,
    alert_id             text NOT NULL,
    response_id          text,           -- the response that caused it
    request_id           text,
    model                text,
    error_type           text,
    reason               text,           -- null with zero data retention
    detailed_explanation text,           -- kept although OpenAI deletes it after a while
    request_paused       boolean,
    created_at           timestamptz,
    received_at          timestamptz NOT NULL,
    fetch_state          text NOT NULL,  -- fetched, off, not_found, forbidden
    fetched_at           timestamptz,
    raw                  jsonb,
    raw_bytes            bytea,
    PRIMARY KEY (project, alert_id)
);
CREATE INDEX safety_alerts_by_alert_id ON safety_alerts USING hash (alert_id);
CREATE INDEX safety_alerts_by_response_id ON safety_alerts USING hash (response_id);

-- Objects that are known but were not read from the API, for whatever reason.
CREATE OR REPLACE VIEW unfetched_objects AS
SELECT 'response' AS family, project, response_id AS object_id, status, fetch_state, received_at
FROM responses WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'batch', project, batch_id, status, fetch_state, received_at
FROM batches WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'fine_tuning', project, job_id, status, fetch_state, received_at
FROM fine_tuning_jobs WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'eval', project, run_id, status, fetch_state, received_at
FROM eval_runs WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'safety', project, alert_id, CAST(NULL AS text), fetch_state, received_at
FROM safety_alerts WHERE fetch_state <> 'fetched';
