-- Results on their way and back: how fast an import goes, whether a batch has as many rows as requests, and embeddings.

-- Set while files are imported, and by every attempt anew: from when, and at how many rows, its speed is counted.
ALTER TABLE batches ADD COLUMN import_began_at timestamptz;
ALTER TABLE batches ADD COLUMN import_began_rows bigint;
CREATE INDEX batches_by_import ON batches (import_began_at) WHERE import_began_at IS NOT NULL;

-- Rows against OpenAI's request_counts. results_state is one of complete, mismatch (all there is, but not one row a
-- request), importing, expired (a file was gone before it was read), unfetched.
CREATE VIEW batch_counts AS
SELECT
    project, batch_id, status, requests_total, requests_completed, requests_failed, rows_stored, rows_quarantined,
    requests_total - rows_stored AS rows_missing,
    CASE
        WHEN NOT results_complete THEN
            CASE fetch_state WHEN 'fetched' THEN 'importing' WHEN 'expired' THEN 'expired' ELSE 'unfetched' END
        WHEN errors IS NULL AND requests_total <> rows_stored THEN 'mismatch'
        ELSE 'complete'
    END AS results_state
FROM batches;

-- What a batch's requests were answered with: the text of responses and chat completions, the shape of embeddings, the
-- body of all.
CREATE OR REPLACE VIEW batch_outputs AS
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
    input_tokens, output_tokens, body, line,
    CASE WHEN jsonb_typeof(body -> 'data') = 'array' AND body #>> '{data,0,object}' = 'embedding'
        THEN jsonb_array_length(body -> 'data')::bigint
    END AS embeddings,
    -- Null when they are in base64.
    CASE WHEN jsonb_typeof(body -> 'data') = 'array' AND jsonb_typeof(body #> '{data,0,embedding}') = 'array'
        THEN jsonb_array_length(body #> '{data,0,embedding}')::bigint
    END AS dimensions
FROM batch_results
WHERE source = 'output' AND NOT quarantined;
