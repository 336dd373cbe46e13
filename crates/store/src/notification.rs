//! Rows of `notifications`: the outbox of notifications to the user's own systems, with their delivery state.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, NotificationState, NotificationType, Reason};

use crate::columns::columns;
use crate::json_text;
use crate::page_position::PagePosition;

/// A notification, written in the transaction that stores the result it announces.
#[derive(Debug, Clone, Serialize)]
pub struct NewNotification {
    pub project: String,
    /// Derived from project, target, type and event: a second notification with the same id is not written.
    pub id: String,
    pub target: String,
    #[serde(rename = "type")]
    pub kind: MaybeKnown<NotificationType>,
    /// Sent before the others.
    pub urgent: bool,
    pub webhook_id: Option<String>,
    pub event_id: Option<String>,
    pub object_id: Option<String>,
    /// When OpenAI says the event happened.
    pub event_created_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// After this time it is not sent any more. `None`: sent however old it is.
    pub expires_at: Option<DateTime<Utc>>,
    /// Sent unchanged on every attempt.
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
        expires_at: Time,
        body: Bytes,
    }
}

/// A row of `notifications`.
#[derive(Debug, Clone, Serialize)]
pub struct NotificationRecord {
    #[serde(flatten)]
    pub notification: NewNotification,
    pub state: MaybeKnown<NotificationState>,
    /// Why it was given up. `None` if it was not, or by a previous version.
    pub reason: Option<MaybeKnown<Reason>>,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts before its retry schedule last restarted.
    #[serde(skip)]
    pub attempts_before: u32,
    /// `None` when no further attempt is due.
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
    /// `None`: no response.
    pub status: Option<i64>,
    /// The first bytes of the response body.
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

/// A worker's request for due notifications.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    pub target: String,
    /// Whether to lease the urgent notifications or the others.
    pub urgent: bool,
    /// The maximum number of notifications.
    pub limit: u32,
    pub rate_per_sec: f64,
    /// Unique per lease; only the owner can settle an attempt.
    pub owner: String,
    /// Longer than an attempt can take, so that no other worker sends the same notification.
    pub lease_for: Duration,
    pub breaker: BreakerPolicy,
}

/// When the circuit breaker of a failing target opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerPolicy {
    /// The breaker opens after this many consecutive failures.
    pub failures_max: u32,
    /// The first wait; each further failure doubles it.
    pub wait_min: Duration,
    pub wait_max: Duration,
}

/// Notifications that the worker may send now.
#[derive(Debug, Clone, Default)]
pub struct Leased {
    pub notifications: Vec<NotificationRecord>,
    /// A half-open probe: the only notification, which tests whether a failing target has recovered.
    pub is_probe: bool,
    /// When more may be due, as far as is known; new notifications can be written earlier.
    pub next_at: Option<DateTime<Utc>>,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct AttemptEnd {
    pub project: String,
    pub id: String,
    pub target: String,
    /// The owner of the lease; `None` when it was sent before its row was written.
    pub owner: Option<String>,
    pub attempt: NotificationAttempt,
    pub next: NextStep,
    pub is_probe: bool,
    /// The target answered 410 Gone.
    pub is_gone: bool,
    /// The target's `Retry-After`, relative to now.
    pub retry_after: Option<Duration>,
    pub at: DateTime<Utc>,
    pub breaker: BreakerPolicy,
}

/// The next step of a notification after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    Delivered,
    RetryAt(DateTime<Utc>),
    GiveUp(Reason),
}

/// Selects notifications to list. The default is the 50 newest.
#[derive(Debug, Clone)]
pub struct NotificationFilter {
    pub target: Option<String>,
    pub state: Option<NotificationState>,
    pub kind: Option<NotificationType>,
    /// Not those that were given up for this reason.
    pub except: Option<Reason>,
    /// Created at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only notifications after this one in the list: the last one of the previous page.
    pub after: Option<PagePosition>,
    pub limit: u32,
}

impl Default for NotificationFilter {
    fn default() -> Self {
        Self { target: None, state: None, kind: None, except: None, since: None, after: None, limit: 50 }
    }
}
