-- Every attempt at an event after which it was tried again, given up, or at last stored; and errors of batches.

-- An event that is stored by its first attempt has no row. Of the others the first 10 and the last 50 attempts are kept.
-- RETRY_FOR_SECS counts from the first one.
CREATE TABLE event_attempts (
    project     TEXT NOT NULL,
    webhook_id  TEXT NOT NULL,
    attempt     INTEGER NOT NULL,  -- from 1; goes on when the event is replayed or redriven
    worker      TEXT NOT NULL,     -- its consumer name in Redis
    started_at  TEXT NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome     TEXT NOT NULL,     -- retry, dead, stored
    reason      TEXT,              -- as in events.reason
    http_status INTEGER,           -- of OpenAI's answer, if there was one
    request_id  TEXT,              -- OpenAI's x-request-id
    PRIMARY KEY (project, webhook_id, attempt),
    FOREIGN KEY (project, webhook_id) REFERENCES events (project, webhook_id) ON DELETE CASCADE
) STRICT;

-- Every line that is no success: refused, expired, unreadable, or without a status that says success.
DROP VIEW batch_errors;
CREATE VIEW batch_errors AS
SELECT
    project, batch_id, custom_id, status_code,
    CASE WHEN json_valid(error) THEN json_extract(error, '$.code') END AS error_code,
    CASE WHEN json_valid(error) THEN json_extract(error, '$.message') END AS error_message,
    error, quarantined, source, line
FROM batch_results
WHERE error IS NOT NULL OR quarantined = 1 OR status_code IS NULL OR status_code NOT BETWEEN 200 AND 299;
