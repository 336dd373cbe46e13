-- Safety alerts of the project. A row is joined with the response that caused the alert.
CREATE TABLE safety_alerts (
    project              TEXT NOT NULL,
    alert_id             TEXT NOT NULL,
    response_id          TEXT,           -- the response that caused it
    request_id           TEXT,
    model                TEXT,
    error_type           TEXT,
    reason               TEXT,           -- null with zero data retention
    detailed_explanation TEXT,           -- kept although OpenAI deletes it after a while
    request_paused       INTEGER,
    created_at           TEXT,
    received_at          TEXT NOT NULL,
    fetch_state          TEXT NOT NULL,  -- fetched, off, not_found, forbidden
    fetched_at           TEXT,
    raw                  TEXT,
    raw_bytes            BLOB,
    PRIMARY KEY (project, alert_id)
) STRICT;
CREATE INDEX safety_alerts_by_alert_id ON safety_alerts (alert_id);
CREATE INDEX safety_alerts_by_response_id ON safety_alerts (response_id);

-- Objects that are known but were not read from the API, for whatever reason.
DROP VIEW unfetched_objects;
CREATE VIEW unfetched_objects AS
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
SELECT 'safety', project, alert_id, NULL, fetch_state, received_at
FROM safety_alerts WHERE fetch_state <> 'fetched';
