//! Rows of `eval_runs`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown};

use crate::columns::columns;
use crate::json_text;

/// An eval run. The webhook only names the run, so all other fields are empty if its eval was not found.
#[derive(Debug, Clone, Serialize)]
pub struct EvalRunRecord {
    pub project: String,
    pub run_id: String,
    pub status: Option<String>,
    pub eval_id: Option<String>,
    pub name: Option<String>,
    pub model: Option<String>,
    pub total: Option<i64>,
    pub passed: Option<i64>,
    pub failed: Option<i64>,
    pub errored: Option<i64>,
    pub report_url: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
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
    EvalRunRecord {
        project: Text,
        run_id: Key,
        status: Text,
        eval_id: Text,
        name: Text,
        model: Text,
        total: Integer,
        passed: Integer,
        failed: Integer,
        errored: Integer,
        report_url: Text,
        error: Json,
        created_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        terminal: Flag,
        raw: Json + raw_bytes,
    }
}
