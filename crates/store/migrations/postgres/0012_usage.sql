-- What each request used: its tokens as columns, and what else decides its price. Null in rows stored before this version.
ALTER TABLE responses ADD COLUMN input_tokens bigint;
ALTER TABLE responses ADD COLUMN output_tokens bigint;
ALTER TABLE responses ADD COLUMN cached_tokens bigint;
ALTER TABLE responses ADD COLUMN cache_write_tokens bigint;
ALTER TABLE responses ADD COLUMN reasoning_tokens bigint;
ALTER TABLE responses ADD COLUMN tool_usage jsonb;
ALTER TABLE responses ADD COLUMN service_tier text;
ALTER TABLE responses ADD COLUMN conversation_id text;
ALTER TABLE responses ADD COLUMN previous_response_id text;
ALTER TABLE batch_results ADD COLUMN cached_tokens bigint;
ALTER TABLE batch_results ADD COLUMN cache_write_tokens bigint;
ALTER TABLE batch_results ADD COLUMN reasoning_tokens bigint;

-- Tokens by day (UTC), model, and whether the requests were part of a batch. Requests without known usage do not count.
CREATE VIEW usage_by_day AS
SELECT
    day, project, model, is_batch, count(*) AS requests,
    CAST(sum(input_tokens) AS bigint) AS input_tokens,
    CAST(sum(output_tokens) AS bigint) AS output_tokens,
    CAST(sum(cached_tokens) AS bigint) AS cached_tokens,
    CAST(sum(cache_write_tokens) AS bigint) AS cache_write_tokens,
    CAST(sum(reasoning_tokens) AS bigint) AS reasoning_tokens
FROM (
    SELECT
        to_char(coalesce(completed_at, created_at, received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
        project, model, FALSE AS is_batch, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens
    FROM responses
    WHERE input_tokens IS NOT NULL
    UNION ALL
    SELECT
        to_char(coalesce(batches.completed_at, batches.created_at, batches.received_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day,
        batches.project, batches.model, TRUE AS is_batch, batch_results.input_tokens, batch_results.output_tokens, batch_results.cached_tokens, batch_results.cache_write_tokens, batch_results.reasoning_tokens
    FROM batch_results
    JOIN batches ON batches.project = batch_results.project AND batches.batch_id = batch_results.batch_id
    WHERE batch_results.input_tokens IS NOT NULL
) AS used
GROUP BY day, project, model, is_batch;
