//! Rows of `notifications`: what the user's own systems are to be told, and how far that has come.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, NotificationState, NotificationType};

use crate::columns::columns;
use crate::json_text;

/// A notification, as it is written together with what it tells of.
#[derive(Debug, Clone, Serialize)]
pub struct NewNotification {
    pub project: String,
    /// The same for the same project, target, type and event: a second one of it is not written.
    pub id: String,
    pub target: String,
    #[serde(rename = "type")]
    pub kind: MaybeKnown<NotificationType>,
    /// Ahead of the others.
    pub urgent: bool,
    pub webhook_id: Option<String>,
    pub event_id: Option<String>,
    pub object_id: Option<String>,
    /// When OpenAI says the event happened.
    pub event_created_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// Sent as it is, on every attempt.
    #[serde(serialize_with = "json_text::nested_bytes")]
    pub body: Vec<u8>,
}

columns! {
    NewNotification {
        project: Text,
        id: Text,
        target: Text,
        kind as "type": Text,
        urgent: Flag,
        webhook_id: Key,
        event_id: Key,
        object_id: Key,
        event_created_at: Time,
        created_at: Time,
        body: Bytes,
    }
}

/// A row of `notifications`.
#[derive(Debug, Clone, Serialize)]
pub struct NotificationRecord {
    #[serde(flatten)]
    pub notification: NewNotification,
    pub state: MaybeKnown<NotificationState>,
    /// Attempts so far.
    pub attempts: u32,
    /// Of them, those before its schedule last began.
    #[serde(skip)]
    pub attempts_before: u32,
    /// `None` when there is nothing left to do.
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub lease_until: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub last_status: Option<i64>,
    pub last_error: Option<String>,
}

/// A row of `notification_attempts`.
#[derive(Debug, Clone, Serialize)]
pub struct NotificationAttempt {
    /// From 1.
    pub attempt: u32,
    pub started_at: DateTime<Utc>,
    pub latency_ms: i64,
    /// `None`: there was no answer.
    pub status: Option<i64>,
    /// The first bytes of the answer.
    pub answer: Option<String>,
    /// `None`: delivered.
    pub error: Option<String>,
}

columns! {
    NotificationAttempt {
        attempt: Integer,
        started_at: Time,
        latency_ms: Integer,
        status: Integer,
        answer: Text,
        error: Text,
    }
}

/// Which notifications a worker asks for.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    pub target: String,
    /// The urgent ones, or the others.
    pub urgent: bool,
    /// At most so many.
    pub limit: u32,
    pub rate_per_sec: f64,
    /// Told apart from every other lease; an attempt is settled only by its owner.
    pub owner: String,
    /// Longer than an attempt can take: no other worker sends it meanwhile.
    pub lease_for: Duration,
    pub breaker: BreakerPolicy,
}

/// When a target that fails is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// After so many failures in a row it is left alone.
    pub failures_max: u32,
    /// At first so long; each further failure doubles it.
    pub wait_min: Duration,
    pub wait_max: Duration,
}

/// What a worker may send now.
#[derive(Debug, Clone, Default)]
pub struct Leased {
    pub notifications: Vec<NotificationRecord>,
    /// The only one: it tells whether a target that failed is back.
    pub is_probe: bool,
    /// When there may be more, as far as is known; something may be written before.
    pub next_at: Option<DateTime<Utc>>,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    pub project: String,
    pub id: String,
    pub target: String,
    /// Of the lease.
    pub owner: String,
    pub attempt: NotificationAttempt,
    pub next: NextStep,
    pub is_probe: bool,
    /// The target wants nothing any more.
    pub is_gone: bool,
    /// The target's own wish, from now.
    pub retry_after: Option<Duration>,
    pub at: DateTime<Utc>,
    pub breaker: BreakerPolicy,
}

/// What becomes of a notification after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    Delivered,
    RetryAt(DateTime<Utc>),
    GiveUp,
}

/// Which notifications to list. The default asks for the 50 newest.
#[derive(Debug, Clone)]
pub struct NotificationFilter {
    pub target: Option<String>,
    pub state: Option<NotificationState>,
    pub kind: Option<NotificationType>,
    /// Written at this time or later.
    pub since: Option<DateTime<Utc>>,
    pub limit: u32,
}

impl Default for NotificationFilter {
    fn default() -> Self {
        Self { target: None, state: None, kind: None, since: None, limit: 50 }
    }
}
