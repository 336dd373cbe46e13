-- Every attempt at an event after which it was tried again, given up, or at last stored; and errors of batches.

-- An event that is stored by its first attempt has no row. Of the others the first 10 and the last 50 attempts are kept.
-- RETRY_FOR_SECS counts from the first one.
CREATE TABLE event_attempts (
    project     text NOT NULL,
    webhook_id  text NOT NULL,
    attempt     bigint NOT NULL,   -- from 1; goes on when the event is replayed or redriven
    worker      text NOT NULL,     -- its consumer name in Redis
    started_at  timestamptz NOT NULL,
    duration_ms bigint NOT NULL,
    outcome     text NOT NULL,     -- retry, dead, stored
    reason      text,              -- as in events.reason
    http_status bigint,            -- of OpenAI's answer, if there was one
    request_id  text,              -- OpenAI's x-request-id
    PRIMARY KEY (project, webhook_id, attempt),
    FOREIGN KEY (project, webhook_id) REFERENCES events (project, webhook_id) ON DELETE CASCADE
);

-- Every line that is no success: refused, expired, unreadable, or without a status that says success.
CREATE OR REPLACE VIEW batch_errors AS
SELECT
    project, batch_id, custom_id, status_code,
    error ->> 'code' AS error_code,
    error ->> 'message' AS error_message,
    error, quarantined, source, line
FROM batch_results
WHERE error IS NOT NULL OR quarantined OR status_code IS NULL OR status_code NOT BETWEEN 200 AND 299;
