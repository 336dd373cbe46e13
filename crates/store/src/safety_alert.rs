//! Rows of `safety_alerts`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown};

use crate::columns::columns;
use crate::json_text;

/// A safety alert. It has no status: it only ever says that something happened.
#[derive(Debug, Clone, Serialize)]
pub struct SafetyAlertRecord {
    pub project: String,
    pub alert_id: String,
    /// The response that caused it; also its id in `responses`.
    pub response_id: Option<String>,
    pub request_id: Option<String>,
    pub model: Option<String>,
    pub error_type: Option<String>,
    pub reason: Option<String>,
    /// Kept when a later fetch no longer returns it.
    pub detailed_explanation: Option<String>,
    pub request_paused: Option<bool>,
    pub created_at: Option<DateTime<Utc>>,
    /// When ingest received the event that brought this state of the object.
    pub received_at: DateTime<Utc>,
    pub fetch_state: MaybeKnown<FetchState>,
    /// Set if and only if the object was fetched from the API.
    pub fetched_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "json_text::nested_optional_bytes")]
    pub raw: Option<Vec<u8>>,
}

columns! {
    SafetyAlertRecord {
        project: Text,
        alert_id: Key,
        response_id: Key,
        request_id: Text,
        model: Text,
        error_type: Text,
        reason: Text,
        detailed_explanation: Text,
        request_paused: Flag,
        created_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        raw: Json + raw_bytes,
    }
}
