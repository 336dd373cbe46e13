//! The tables `fine_tuning_jobs`, `fine_tuned_models` and `fine_tuning_metrics`.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row::{self, sql_time};
use super::upsert::upsert;
use super::{Sqlite, WriteTransaction, events};
use crate::event::Completion;
use crate::fine_tuning::{FineTuningRecord, JobRecord, MetricRecord, ModelRecord};
use crate::json_text::{JsonColumns, mended, plain};

const UPSERT_JOB: &str = upsert!(
    "fine_tuning_jobs",
    "job_id",
    [
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
    ]
);

/// A model has no states: the later, different one counts.
const UPSERT_MODEL: &str = "
    INSERT INTO fine_tuned_models
        (project, model_id, job_id, base_model, owned_by, created_at, fetched_at, raw, raw_bytes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (project, model_id) DO UPDATE SET
        job_id = coalesce(excluded.job_id, fine_tuned_models.job_id),
        base_model = coalesce(excluded.base_model, fine_tuned_models.base_model),
        owned_by = excluded.owned_by, created_at = excluded.created_at, fetched_at = excluded.fetched_at,
        raw = excluded.raw, raw_bytes = excluded.raw_bytes
    WHERE coalesce(excluded.fetched_at, '') > coalesce(fine_tuned_models.fetched_at, '')
        AND (excluded.raw IS DISTINCT FROM fine_tuned_models.raw
            OR excluded.raw_bytes IS DISTINCT FROM fine_tuned_models.raw_bytes)";

/// Result files do not change, but a job may have several, and a step in one of them may have empty cells.
const UPSERT_METRIC: &str = "
    INSERT INTO fine_tuning_metrics
        (project, job_id, step, train_loss, train_accuracy, valid_loss, valid_accuracy)
    VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (project, job_id, step) DO UPDATE SET
        train_loss = coalesce(excluded.train_loss, fine_tuning_metrics.train_loss),
        train_accuracy = coalesce(excluded.train_accuracy, fine_tuning_metrics.train_accuracy),
        valid_loss = coalesce(excluded.valid_loss, fine_tuning_metrics.valid_loss),
        valid_accuracy = coalesce(excluded.valid_accuracy, fine_tuning_metrics.valid_accuracy)";

pub(crate) async fn save(
    sqlite: &Sqlite,
    fine_tuning: &FineTuningRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let mut transaction = sqlite.begin().await?;
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
    let raw = JsonColumns::of(job.raw.as_deref());
    sqlx::query(UPSERT_JOB)
        .bind(&job.project)
        .bind(plain(&job.job_id))
        .bind(job.status.as_deref().map(plain))
        .bind(job.base_model.as_deref().map(plain))
        .bind(job.fine_tuned_model.as_deref().map(plain))
        .bind(job.trained_tokens)
        .bind(job.error.as_deref().map(mended))
        .bind(job.hyperparameters.as_deref().map(mended))
        .bind(job.result_files.as_deref().map(mended))
        .bind(job.created_at.map(sql_time))
        .bind(job.finished_at.map(sql_time))
        .bind(sql_time(job.received_at))
        .bind(job.fetch_state.as_str())
        .bind(job.fetched_at.map(sql_time))
        .bind(job.terminal)
        .bind(raw.text)
        .bind(raw.bytes)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

async fn upsert_model(transaction: &mut WriteTransaction, model: &ModelRecord) -> sqlx::Result<()> {
    let raw = JsonColumns::of(model.raw.as_deref());
    sqlx::query(UPSERT_MODEL)
        .bind(&model.project)
        .bind(plain(&model.model_id))
        .bind(model.job_id.as_deref().map(plain))
        .bind(model.base_model.as_deref().map(plain))
        .bind(model.owned_by.as_deref().map(plain))
        .bind(model.created_at.map(sql_time))
        .bind(model.fetched_at.map(sql_time))
        .bind(raw.text)
        .bind(raw.bytes)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

async fn upsert_metric(
    transaction: &mut WriteTransaction,
    job: &JobRecord,
    metric: &MetricRecord,
) -> sqlx::Result<()> {
    sqlx::query(UPSERT_METRIC)
        .bind(&job.project)
        .bind(plain(&job.job_id))
        .bind(metric.step)
        .bind(metric.train_loss)
        .bind(metric.train_accuracy)
        .bind(metric.valid_loss)
        .bind(metric.valid_accuracy)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

pub(crate) async fn metrics(sqlite: &Sqlite, project: &str, job_id: &str) -> sqlx::Result<Vec<MetricRecord>> {
    let rows =
        sqlx::query("SELECT * FROM fine_tuning_metrics WHERE project = ? AND job_id = ? ORDER BY step")
            .bind(project)
            .bind(job_id)
            .fetch_all(&sqlite.readers)
            .await?;
    let metric = |row: &SqliteRow| {
        Ok(MetricRecord {
            step: row.try_get("step")?,
            train_loss: row.try_get("train_loss")?,
            train_accuracy: row.try_get("train_accuracy")?,
            valid_loss: row.try_get("valid_loss")?,
            valid_accuracy: row.try_get("valid_accuracy")?,
        })
    };
    rows.iter().map(metric).collect()
}

pub(super) fn job(row: &SqliteRow) -> sqlx::Result<JobRecord> {
    Ok(JobRecord {
        project: row.try_get("project")?,
        job_id: row.try_get("job_id")?,
        status: row.try_get("status")?,
        base_model: row.try_get("base_model")?,
        fine_tuned_model: row.try_get("fine_tuned_model")?,
        trained_tokens: row.try_get("trained_tokens")?,
        error: row.try_get("error")?,
        hyperparameters: row.try_get("hyperparameters")?,
        result_files: row.try_get("result_files")?,
        created_at: row::time(row, "created_at")?,
        finished_at: row::time(row, "finished_at")?,
        received_at: row::required_time(row, "received_at")?,
        fetch_state: row::member(row, "fetch_state")?,
        fetched_at: row::time(row, "fetched_at")?,
        terminal: row.try_get("terminal")?,
        raw: row::bytes(row, row::RAW)?,
    })
}

pub(super) fn model(row: &SqliteRow) -> sqlx::Result<ModelRecord> {
    Ok(ModelRecord {
        project: row.try_get("project")?,
        model_id: row.try_get("model_id")?,
        job_id: row.try_get("job_id")?,
        base_model: row.try_get("base_model")?,
        owned_by: row.try_get("owned_by")?,
        created_at: row::time(row, "created_at")?,
        fetched_at: row::time(row, "fetched_at")?,
        raw: row::bytes(row, row::RAW)?,
    })
}
