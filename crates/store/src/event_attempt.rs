//! Attempts to process events: rows of `event_attempts`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, Reason, closed_set};

use crate::columns::columns;

closed_set! {
    /// How an attempt ended: the column `event_attempts.outcome`.
    pub enum AttemptOutcome {
        /// The attempt failed and will be retried.
        Retry => "retry",
        /// The attempt failed and the event was dead-lettered.
        Dead => "dead",
        /// The event is stored.
        Stored => "stored",
    }
}

/// An attempt, as recorded by its worker.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// The worker's consumer name.
    pub worker: String,
    /// When the event was received, or enqueued again by a replay or a redrive.
    pub received_at: DateTime<Utc>,
    pub started_at: DateTime<Utc>,
    pub duration: Duration,
    /// The status and request id of OpenAI's response to a failed request.
    pub http_status: Option<u16>,
    pub request_id: Option<String>,
}

/// A row of `event_attempts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptRecord {
    /// From 1; continues when the event is replayed.
    pub attempt: i64,
    pub worker: String,
    pub started_at: DateTime<Utc>,
    pub duration_ms: i64,
    pub outcome: MaybeKnown<AttemptOutcome>,
    pub reason: Option<MaybeKnown<Reason>>,
    pub http_status: Option<i64>,
    pub request_id: Option<String>,
}

columns! {
    AttemptRecord {
        attempt: Integer,
        worker: Text,
        started_at: Time,
        duration_ms: Integer,
        outcome: Text,
        reason: Text,
        http_status: Integer,
        request_id: Text,
    }
}
