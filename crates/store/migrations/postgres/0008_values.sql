-- no-transaction
-- Ids of any length: an entry of a B-tree holds at most 2,704 bytes, one of a hash index only the hash. Ids are only ever
-- compared for equality. Built beside running workers, one statement at a time; a build that fails is begun again.
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_by_webhook_id_hash ON events USING hash (webhook_id);
DROP INDEX CONCURRENTLY IF EXISTS events_by_webhook_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_by_event_id_hash ON events USING hash (event_id);
DROP INDEX CONCURRENTLY IF EXISTS events_by_event_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_by_object_id_hash ON events USING hash (object_id);
DROP INDEX CONCURRENTLY IF EXISTS events_by_object_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS responses_by_response_id_hash ON responses USING hash (response_id);
DROP INDEX CONCURRENTLY IF EXISTS responses_by_response_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS batches_by_batch_id_hash ON batches USING hash (batch_id);
DROP INDEX CONCURRENTLY IF EXISTS batches_by_batch_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS batch_results_by_custom_id_hash ON batch_results USING hash (custom_id);
DROP INDEX CONCURRENTLY IF EXISTS batch_results_by_custom_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS fine_tuning_jobs_by_job_id_hash ON fine_tuning_jobs USING hash (job_id);
DROP INDEX CONCURRENTLY IF EXISTS fine_tuning_jobs_by_job_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS fine_tuned_models_by_model_id_hash ON fine_tuned_models USING hash (model_id);
DROP INDEX CONCURRENTLY IF EXISTS fine_tuned_models_by_model_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS eval_runs_by_run_id_hash ON eval_runs USING hash (run_id);
DROP INDEX CONCURRENTLY IF EXISTS eval_runs_by_run_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS files_by_file_id_hash ON files USING hash (file_id);
DROP INDEX CONCURRENTLY IF EXISTS files_by_file_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS files_by_object_id_hash ON files USING hash (object_id);
DROP INDEX CONCURRENTLY IF EXISTS files_by_object_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS notifications_by_id_hash ON notifications USING hash (id);
DROP INDEX CONCURRENTLY IF EXISTS notifications_by_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS notifications_by_object_id_hash ON notifications USING hash (object_id);
DROP INDEX CONCURRENTLY IF EXISTS notifications_by_object_id;
CREATE INDEX CONCURRENTLY IF NOT EXISTS notifications_by_webhook_id_hash ON notifications USING hash (webhook_id);
DROP INDEX CONCURRENTLY IF EXISTS notifications_by_webhook_id;
