//! Attempts at events: rows of `event_attempts`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, Reason, closed_set};

use crate::columns::columns;

closed_set! {
    /// How an attempt ended: the column `event_attempts.outcome`.
    pub enum AttemptOutcome {
        /// It failed, and another one is due.
        Retry => "retry",
        /// It failed, and the event was given up.
        Dead => "dead",
        /// The event is stored.
        Stored => "stored",
    }
}

/// An attempt as its worker saw it.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// The worker's consumer name.
    pub worker: String,
    /// When the event was received, or enqueued again by a replay or a redrive.
    pub received_at: DateTime<Utc>,
    pub started_at: DateTime<Utc>,
    pub duration: Duration,
    /// The status and the request id of OpenAI's answer to a failed request.
    pub http_status: Option<u16>,
    pub request_id: Option<String>,
}

/// A row of `event_attempts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptRecord {
    /// From 1; counts on when the event is replayed.
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
