-- Views named after what people look for.

-- The text of every completed response.
CREATE VIEW research_results AS
SELECT project, response_id, model, output_text, citations, completed_at, received_at
FROM responses
WHERE status = 'completed';

-- What a batch's requests were answered with: the text of responses and chat completions, the body of all else.
CREATE VIEW batch_outputs AS
SELECT
    project, batch_id, custom_id, status_code,
    coalesce(
        body #>> '{choices,0,message,content}',
        (
            SELECT string_agg(part.text #>> '{}', '' ORDER BY part.number)
            FROM jsonb_path_query(body, 'lax $.output[*].content[*] ? (@.type == "output_text").text', '{}', TRUE)
                WITH ORDINALITY AS part (text, number)
        )
    ) AS output_text,
    input_tokens, output_tokens, body, line
FROM batch_results
WHERE source = 'output' AND NOT quarantined;

-- Every line that is no success: refused, expired, or unreadable.
CREATE VIEW batch_errors AS
SELECT
    project, batch_id, custom_id, status_code,
    error ->> 'code' AS error_code,
    error ->> 'message' AS error_message,
    error, quarantined, source, line
FROM batch_results
WHERE error IS NOT NULL OR status_code >= 400 OR quarantined;

-- Events whose effect is not in the store: waiting, failing or given up.
CREATE VIEW open_events AS
SELECT project, webhook_id, type, family, object_id, state, attempts, reason, last_error, received_at
FROM events
WHERE state <> 'stored';

-- Objects that are known but were not read from the API, for whatever reason.
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
FROM eval_runs WHERE fetch_state <> 'fetched';
