-- What each request used: its tokens as columns, and what else decides its price. Null in rows stored before this version.
ALTER TABLE responses ADD COLUMN input_tokens INTEGER;
ALTER TABLE responses ADD COLUMN output_tokens INTEGER;
ALTER TABLE responses ADD COLUMN cached_tokens INTEGER;
ALTER TABLE responses ADD COLUMN cache_write_tokens INTEGER;
ALTER TABLE responses ADD COLUMN reasoning_tokens INTEGER;
ALTER TABLE responses ADD COLUMN tool_usage TEXT;
ALTER TABLE responses ADD COLUMN service_tier TEXT;
ALTER TABLE responses ADD COLUMN conversation_id TEXT;
ALTER TABLE responses ADD COLUMN previous_response_id TEXT;
ALTER TABLE batch_results ADD COLUMN cached_tokens INTEGER;
ALTER TABLE batch_results ADD COLUMN cache_write_tokens INTEGER;
ALTER TABLE batch_results ADD COLUMN reasoning_tokens INTEGER;

-- Tokens by day (UTC), model, and whether the requests were part of a batch. Requests without known usage do not count.
CREATE VIEW usage_by_day AS
SELECT
    day, project, model, is_batch, count(*) AS requests,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    sum(cached_tokens) AS cached_tokens,
    sum(cache_write_tokens) AS cache_write_tokens,
    sum(reasoning_tokens) AS reasoning_tokens
FROM (
    SELECT
        substr(coalesce(completed_at, created_at, received_at), 1, 10) AS day,
        project, model, 0 AS is_batch, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens
    FROM responses
    WHERE input_tokens IS NOT NULL
    UNION ALL
    SELECT
        substr(coalesce(batches.completed_at, batches.created_at, batches.received_at), 1, 10) AS day,
        batches.project, batches.model, 1 AS is_batch, batch_results.input_tokens, batch_results.output_tokens, batch_results.cached_tokens, batch_results.cache_write_tokens, batch_results.reasoning_tokens
    FROM batch_results
    JOIN batches ON batches.project = batch_results.project AND batches.batch_id = batch_results.batch_id
    WHERE batch_results.input_tokens IS NOT NULL
) AS used
GROUP BY day, project, model, is_batch;
