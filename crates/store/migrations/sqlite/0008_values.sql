-- A body that SQLite does not read as JSON (nested over 1,000 levels, from before such bodies were kept as bytes) has no
-- output text, and does not end the query for all the other rows.
DROP VIEW batch_outputs;
CREATE VIEW batch_outputs AS
SELECT
    project, batch_id, custom_id, status_code,
    coalesce(
        json_extract(readable, '$.choices[0].message.content'),
        (
            SELECT group_concat(text, '')
            FROM (
                SELECT json_extract(part.value, '$.text') AS text
                FROM json_each(readable, '$.output') AS item
                JOIN json_each(CASE item.type WHEN 'object' THEN item.value ELSE '{}' END, '$.content') AS part
                WHERE part.type = 'object'
                  AND json_extract(CASE part.type WHEN 'object' THEN part.value ELSE '{}' END, '$.type') = 'output_text'
                ORDER BY item.key, part.key
            )
        )
    ) AS output_text,
    input_tokens, output_tokens, body, line,
    CASE json_extract(readable, '$.data[0].object') WHEN 'embedding' THEN json_array_length(readable, '$.data') END AS embeddings,
    -- Null when they are in base64.
    CASE json_type(readable, '$.data[0].embedding')
        WHEN 'array' THEN json_array_length(readable, '$.data[0].embedding')
    END AS dimensions
FROM (SELECT *, CASE WHEN json_valid(body) THEN body END AS readable FROM batch_results)
WHERE source = 'output' AND quarantined = 0;
