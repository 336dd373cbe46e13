//! Rows of `responses`.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{FetchState, MaybeKnown};

use crate::columns::columns;
use crate::json_text;

/// A response, as fetched or as embedded in an event.
#[derive(Debug, Clone, Serialize)]
pub struct ResponseRecord {
    pub project: String,
    pub response_id: String,
    pub status: Option<String>,
    pub model: Option<String>,
    /// All text parts in order; `None` if there was no output.
    pub output_text: Option<String>,
    /// JSON text: an array.
    #[serde(serialize_with = "json_text::nested")]
    pub citations: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub usage: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cached_tokens: Option<i64>,
    pub cache_write_tokens: Option<i64>,
    pub reasoning_tokens: Option<i64>,
    /// JSON text: what tools used.
    #[serde(serialize_with = "json_text::nested")]
    pub tool_usage: Option<String>,
    pub service_tier: Option<String>,
    pub conversation_id: Option<String>,
    pub previous_response_id: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub error: Option<String>,
    /// JSON text.
    #[serde(serialize_with = "json_text::nested")]
    pub metadata: Option<String>,
    pub incomplete_reason: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
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
    ResponseRecord {
        project: Text,
        response_id: Key,
        status: Text,
        model: Text,
        output_text: Text,
        citations: Json,
        usage: Json,
        input_tokens: Integer,
        output_tokens: Integer,
        cached_tokens: Integer,
        cache_write_tokens: Integer,
        reasoning_tokens: Integer,
        tool_usage: Json,
        service_tier: Text,
        conversation_id: Text,
        previous_response_id: Text,
        error: Json,
        incomplete_reason: Text,
        metadata: Json,
        created_at: Time,
        completed_at: Time,
        received_at: Time,
        fetch_state: Text,
        fetched_at: Time,
        terminal: Flag,
        raw: Json + raw_bytes,
    }
}
