//! Rows of `fine_tuning_jobs`, `fine_tuned_models` and `fine_tuning_metrics`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown};

use crate::columns::columns;
use crate::fine_tuning_parts::JobParts;
use crate::json_text;

/// A job with its model, its metrics and the lists below it, stored together.
#[derive(Debug, Clone, Serialize)]
pub struct FineTuningRecord {
    pub job: JobRecord,
    pub model: Option<ModelRecord>,
    /// By step. For a repeated step the later values win, except empty ones.
    pub metrics: Vec<MetricRecord>,
    pub parts: JobParts,
}

/// A fine-tuning job.
#[derive(Debug, Clone, Serialize)]
pub struct JobRecord {
    pub project: String,
    pub job_id: String,
    pub status: Option<String>,
    pub base_model: Option<String>,
    pub fine_tuned_model: Option<String>,
    pub trained_tokens: Option<i64>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub hyperparameters: Option<String>,
    /// JSON text: an array of file ids.
    #[serde(serialize_with = "json_text::nested")]
    pub result_files: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// When ingest received the event that brought this state of the object.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    /// Set if and only if the object was fetched from the API.
    pub fetched_at: Option<DateTime<Utc>>,
    /// Whether the object's status is terminal.
    pub terminal: bool,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub raw: Option<Vec<u8>>,
}

columns! {
    JobRecord {
        project: Text,
        job_id: Key,
        status: Text,
        base_model: Text,
        fine_tuned_model: Text,
        trained_tokens: Integer,
        error: Json,
        hyperparameters: Json,
        result_files: Json,
        created_at: Time,
        finished_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        terminal: Flag,
        raw: Json + raw_bytes,
    }
}

/// The model that a job created, as returned by `GET /v1/models/{id}`.
#[derive(Debug, Clone, Serialize)]
pub struct ModelRecord {
    pub project: String,
    pub model_id: String,
    pub job_id: Option<String>,
    pub base_model: Option<String>,
    pub owned_by: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub fetched_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub raw: Option<Vec<u8>>,
}

columns! {
    ModelRecord {
        project: Text,
        model_id: Key,
        job_id: Key,
        base_model: Text,
        owned_by: Text,
        created_at: Time,
        fetched_at: Time,
        raw: Json + raw_bytes,
    }
}

/// One step of a job's loss curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricRecord {
    pub step: i64,
    pub train_loss: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub valid_loss: Option<f64>,
    pub valid_accuracy: Option<f64>,
}

columns! {
    MetricRecord {
        step: Integer,
        train_loss: Real,
        train_accuracy: Real,
        valid_loss: Real,
        valid_accuracy: Real,
    }
}
