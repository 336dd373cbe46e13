//! Rows of `fine_tuning_checkpoints` and `fine_tuning_events`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::MaybeKnown;

use crate::columns::columns;
use crate::json_text;
use crate::part_state::PartState;

/// The lists below a job, each with its state. A list that was not asked for has none.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JobParts {
    pub checkpoints_state: Option<MaybeKnown<PartState>>,
    /// In the order of their steps.
    pub checkpoints: Vec<CheckpointRecord>,
    pub events_state: Option<MaybeKnown<PartState>>,
    /// Newest first.
    pub events: Vec<JobEventRecord>,
}

/// The model of a job as it was at one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointRecord {
    pub checkpoint_id: String,
    pub step_number: Option<i64>,
    pub fine_tuned_model_checkpoint: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub metrics: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
}

columns! {
    CheckpointRecord {
        checkpoint_id: Key,
        step_number: Integer,
        fine_tuned_model_checkpoint: Text,
        metrics: Json,
        created_at: Time,
    }
}

/// What OpenAI reported while a job ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobEventRecord {
    pub event_id: String,
    pub created_at: Option<DateTime<Utc>>,
    pub level: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub message: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub data: Option<String>,
}

columns! {
    JobEventRecord {
        event_id: Key,
        created_at: Time,
        level: Text,
        kind as "type": Text,
        message: Text,
        data: Json,
    }
}
