-- Results on their way and back: how fast an import goes, whether a batch has as many rows as requests, and embeddings.

-- Set while files are imported, and by every attempt anew: from when, and at how many rows, its speed is counted.
ALTER TABLE batches ADD COLUMN import_began_at TEXT;
ALTER TABLE batches ADD COLUMN import_began_rows INTEGER;
CREATE INDEX batches_by_import ON batches (import_began_at) WHERE import_began_at IS NOT NULL;

-- Rows against OpenAI's request_counts. results_state is one of complete, mismatch (all there is, but not one row a
-- request), importing, expired (a file was gone before it was read), unfetched.
CREATE VIEW batch_counts AS
SELECT
    project, batch_id, status, requests_total, requests_completed, requests_failed, rows_stored, rows_quarantined,
    requests_total - rows_stored AS rows_missing,
    CASE
        WHEN results_complete = 0 THEN
            CASE fetch_state WHEN 'fetched' THEN 'importing' WHEN 'expired' THEN 'expired' ELSE 'unfetched' END
        WHEN errors IS NULL AND requests_total <> rows_stored THEN 'mismatch'
        ELSE 'complete'
    END AS results_state
FROM batches;

-- What a batch's requests were answered with: the text of responses and chat completions, the shape of embeddings, the
-- body of all.
DROP VIEW batch_outputs;
CREATE VIEW batch_outputs AS
SELECT
    project, batch_id, custom_id, status_code,
    coalesce(
        json_extract(body, '$.choices[0].message.content'),
        (
            SELECT group_concat(text, '')
            FROM (
                SELECT json_extract(part.value, '$.text') AS text
                FROM json_each(body, '$.output') AS item
                JOIN json_each(CASE item.type WHEN 'object' THEN item.value ELSE '{}' END, '$.content') AS part
                WHERE part.type = 'object'
                  AND json_extract(CASE part.type WHEN 'object' THEN part.value ELSE '{}' END, '$.type') = 'output_text'
                ORDER BY item.key, part.key
            )
        )
    ) AS output_text,
    input_tokens, output_tokens, body, line,
    CASE json_extract(body, '$.data[0].object') WHEN 'embedding' THEN json_array_length(body, '$.data') END AS embeddings,
    -- Null when they are in base64.
    CASE json_type(body, '$.data[0].embedding')
        WHEN 'array' THEN json_array_length(body, '$.data[0].embedding')
    END AS dimensions
FROM batch_results
WHERE source = 'output' AND quarantined = 0;
