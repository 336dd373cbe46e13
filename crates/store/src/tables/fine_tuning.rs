//! The tables `fine_tuning_jobs`, `fine_tuned_models` and `fine_tuning_metrics`.

use std::sync::LazyLock;

use super::upsert::{Existing, insert, upsert};
use super::{events, fine_tuning_parts};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::Completion;
use crate::fine_tuning::{FineTuningRecord, JobRecord, MetricRecord, ModelRecord};
use crate::schema::{FINE_TUNED_MODELS, FINE_TUNING_JOBS, FINE_TUNING_METRICS};
use crate::store::Store;
use crate::value::Value;

static UPSERT_JOB: LazyLock<String> =
    LazyLock::new(|| upsert(&FINE_TUNING_JOBS, JobRecord::COLUMNS, Existing::Improve));

/// A model has no states: the later fetch wins if it differs.
static UPSERT_MODEL: LazyLock<String> = LazyLock::new(|| {
    insert(&FINE_TUNED_MODELS, ModelRecord::COLUMNS)
        + " ON CONFLICT (project, model_id) DO UPDATE SET
            job_id = coalesce(excluded.job_id, fine_tuned_models.job_id),
            base_model = coalesce(excluded.base_model, fine_tuned_models.base_model),
            owned_by = excluded.owned_by, created_at = excluded.created_at, fetched_at = excluded.fetched_at,
            raw = excluded.raw, raw_bytes = excluded.raw_bytes
        WHERE (excluded.fetched_at > fine_tuned_models.fetched_at
                OR (excluded.fetched_at IS NOT NULL AND fine_tuned_models.fetched_at IS NULL))
            AND (excluded.raw IS DISTINCT FROM fine_tuned_models.raw
                OR excluded.raw_bytes IS DISTINCT FROM fine_tuned_models.raw_bytes)"
});

/// Result files never change, but a job may have several, and a step may have empty cells in one of them.
static UPSERT_METRIC: LazyLock<String> =
    LazyLock::new(|| upsert(&FINE_TUNING_METRICS, &FINE_TUNING_METRICS.columns(), Existing::Complete));

impl Store {
    /// Stores a job with everything that belongs to it, together with its event.
    pub async fn save_fine_tuning(
        &self,
        fine_tuning: &FineTuningRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let FineTuningRecord { job, model, metrics, parts } = fine_tuning;
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(UPSERT_JOB.as_str(), &job.values()).await?;
            if let Some(model) = model {
                transaction.execute(UPSERT_MODEL.as_str(), &model.values()).await?;
            }
            for metric in metrics {
                let mut values = vec![Value::text(&job.project), Value::key(&job.job_id)];
                values.extend(metric.values());
                transaction.execute(UPSERT_METRIC.as_str(), &values).await?;
            }
            fine_tuning_parts::save_in(transaction, job, parts).await?;
            events::complete_in(transaction, completion).await
        };
        self.database.write("store a fine-tuning job", steps).await
    }

    /// A job's loss curve, by step.
    pub async fn fine_tuning_metrics(
        &self,
        project: &str,
        job_id: &str,
    ) -> Result<Vec<MetricRecord>, StoreError> {
        let select = "SELECT * FROM fine_tuning_metrics WHERE project = $1 AND job_id = $2 ORDER BY step";
        let values = [Value::text(project), Value::key(job_id)];
        self.database.read("read metrics", select, &values, MetricRecord::read).await
    }
}
