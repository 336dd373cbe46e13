//! The tables `fine_tuning_jobs`, `fine_tuned_models` and `fine_tuning_metrics`.

use std::sync::LazyLock;

use super::events;
use super::upsert::upsert;
use crate::database::{Database, WriteTransaction};
use crate::event::Completion;
use crate::fine_tuning::{FineTuningRecord, JobRecord, MetricRecord, ModelRecord};
use crate::row::{self, Row};
use crate::value::Value;

static UPSERT_JOB: LazyLock<String> = LazyLock::new(|| {
    upsert(
        "fine_tuning_jobs",
        "job_id",
        &[
            "status",
            "base_model",
            "fine_tuned_model",
            "trained_tokens",
            "error",
            "hyperparameters",
            "result_files",
            "created_at",
            "finished_at",
            "received_at",
            "fetch_state",
            "fetched_at",
            "terminal",
            "raw",
            "raw_bytes",
        ],
    )
});

/// A model has no states: the later, different one counts.
const UPSERT_MODEL: &str = "
    INSERT INTO fine_tuned_models
        (project, model_id, job_id, base_model, owned_by, created_at, fetched_at, raw, raw_bytes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (project, model_id) DO UPDATE SET
        job_id = coalesce(excluded.job_id, fine_tuned_models.job_id),
        base_model = coalesce(excluded.base_model, fine_tuned_models.base_model),
        owned_by = excluded.owned_by, created_at = excluded.created_at, fetched_at = excluded.fetched_at,
        raw = excluded.raw, raw_bytes = excluded.raw_bytes
    WHERE (excluded.fetched_at > fine_tuned_models.fetched_at
            OR (excluded.fetched_at IS NOT NULL AND fine_tuned_models.fetched_at IS NULL))
        AND (excluded.raw IS DISTINCT FROM fine_tuned_models.raw
            OR excluded.raw_bytes IS DISTINCT FROM fine_tuned_models.raw_bytes)";

/// Result files do not change, but a job may have several, and a step in one of them may have empty cells.
const UPSERT_METRIC: &str = "
    INSERT INTO fine_tuning_metrics
        (project, job_id, step, train_loss, train_accuracy, valid_loss, valid_accuracy)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (project, job_id, step) DO UPDATE SET
        train_loss = coalesce(excluded.train_loss, fine_tuning_metrics.train_loss),
        train_accuracy = coalesce(excluded.train_accuracy, fine_tuning_metrics.train_accuracy),
        valid_loss = coalesce(excluded.valid_loss, fine_tuning_metrics.valid_loss),
        valid_accuracy = coalesce(excluded.valid_accuracy, fine_tuning_metrics.valid_accuracy)";

pub(crate) async fn save(
    database: &Database,
    fine_tuning: &FineTuningRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let mut transaction = database.begin().await?;
    upsert_job(&mut transaction, &fine_tuning.job).await?;
    if let Some(model) = &fine_tuning.model {
        upsert_model(&mut transaction, model).await?;
    }
    for metric in &fine_tuning.metrics {
        upsert_metric(&mut transaction, &fine_tuning.job, metric).await?;
    }
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

async fn upsert_job(transaction: &mut WriteTransaction, job: &JobRecord) -> sqlx::Result<()> {
    let [raw_json, raw_bytes] = Value::json_or_bytes(job.raw.as_deref());
    transaction
        .execute(
            UPSERT_JOB.as_str(),
            &[
                Value::text(&job.project),
                Value::key(&job.job_id),
                Value::text_if_any(job.status.as_deref()),
                Value::text_if_any(job.base_model.as_deref()),
                Value::text_if_any(job.fine_tuned_model.as_deref()),
                job.trained_tokens.into(),
                Value::lifted(job.error.as_deref()),
                Value::lifted(job.hyperparameters.as_deref()),
                Value::lifted(job.result_files.as_deref()),
                Value::time_if_any(job.created_at),
                Value::time_if_any(job.finished_at),
                Value::time(job.received_at),
                Value::text(job.fetch_state.as_str()),
                Value::time_if_any(job.fetched_at),
                job.terminal.into(),
                raw_json,
                raw_bytes,
            ],
        )
        .await
        .map(drop)
}

async fn upsert_model(transaction: &mut WriteTransaction, model: &ModelRecord) -> sqlx::Result<()> {
    let [raw_json, raw_bytes] = Value::json_or_bytes(model.raw.as_deref());
    transaction
        .execute(
            UPSERT_MODEL,
            &[
                Value::text(&model.project),
                Value::key(&model.model_id),
                Value::key_if_any(model.job_id.as_deref()),
                Value::text_if_any(model.base_model.as_deref()),
                Value::text_if_any(model.owned_by.as_deref()),
                Value::time_if_any(model.created_at),
                Value::time_if_any(model.fetched_at),
                raw_json,
                raw_bytes,
            ],
        )
        .await
        .map(drop)
}

async fn upsert_metric(
    transaction: &mut WriteTransaction,
    job: &JobRecord,
    metric: &MetricRecord,
) -> sqlx::Result<()> {
    transaction
        .execute(
            UPSERT_METRIC,
            &[
                Value::text(&job.project),
                Value::key(&job.job_id),
                metric.step.into(),
                metric.train_loss.into(),
                metric.train_accuracy.into(),
                metric.valid_loss.into(),
                metric.valid_accuracy.into(),
            ],
        )
        .await
        .map(drop)
}

pub(crate) async fn metrics(
    database: &Database,
    project: &str,
    job_id: &str,
) -> sqlx::Result<Vec<MetricRecord>> {
    let select = "SELECT * FROM fine_tuning_metrics WHERE project = $1 AND job_id = $2 ORDER BY step";
    let rows = database.fetch_all(select, &[Value::text(project), Value::key(job_id)]).await?;
    let metric = |row: &Row| {
        Ok(MetricRecord {
            step: row.get("step")?,
            train_loss: row.get("train_loss")?,
            train_accuracy: row.get("train_accuracy")?,
            valid_loss: row.get("valid_loss")?,
            valid_accuracy: row.get("valid_accuracy")?,
        })
    };
    rows.iter().map(metric).collect()
}

pub(super) fn job(row: &Row) -> sqlx::Result<JobRecord> {
    Ok(JobRecord {
        project: row.get("project")?,
        job_id: row.get("job_id")?,
        status: row.get("status")?,
        base_model: row.get("base_model")?,
        fine_tuned_model: row.get("fine_tuned_model")?,
        trained_tokens: row.get("trained_tokens")?,
        error: row.json("error")?,
        hyperparameters: row.json("hyperparameters")?,
        result_files: row.json("result_files")?,
        created_at: row.time("created_at")?,
        finished_at: row.time("finished_at")?,
        received_at: row.required_time("received_at")?,
        fetch_state: row.maybe_known("fetch_state")?,
        fetched_at: row.time("fetched_at")?,
        terminal: row.get("terminal")?,
        raw: row.json_or_bytes(row::RAW)?,
    })
}

pub(super) fn model(row: &Row) -> sqlx::Result<ModelRecord> {
    Ok(ModelRecord {
        project: row.get("project")?,
        model_id: row.get("model_id")?,
        job_id: row.get("job_id")?,
        base_model: row.get("base_model")?,
        owned_by: row.get("owned_by")?,
        created_at: row.time("created_at")?,
        fetched_at: row.time("fetched_at")?,
        raw: row.json_or_bytes(row::RAW)?,
    })
}
