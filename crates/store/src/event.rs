//! Rows of `events`: every webhook that reached a worker, and how far it has come.

use chrono::{DateTime, Utc};
use serde::Serialize;
use webhook::{EventState, Family, MaybeKnown, Reason};

use crate::columns::columns;
use crate::event_attempt::Attempt;
use crate::json_text;
use crate::notification::NewNotification;

/// An event at its first delivery.
#[derive(Debug, Clone, Serialize)]
pub struct NewEvent {
    pub project: String,
    /// The header: constant across OpenAI's retries, different for each endpoint.
    pub webhook_id: String,
    /// The body's id: the same for every endpoint.
    pub event_id: Option<String>,
    #[serde(rename = "type")]
    pub event_type: String,
    pub family: Family,
    pub object_id: Option<String>,
    /// When OpenAI says it happened.
    pub created_at: Option<DateTime<Utc>>,
    /// When ingest took it.
    pub received_at: DateTime<Utc>,
    /// Byte for byte as it came.
    #[serde(serialize_with = "json_text::nested_bytes")]
    pub body: Vec<u8>,
}

columns! {
    NewEvent {
        project: Text,
        webhook_id: Key,
        event_id: Key,
        event_type as "type": Text,
        family: Text,
        object_id: Key,
        created_at: Time,
        received_at: Time,
        body: VerbatimJson + body_bytes,
    }
}

/// That an event's effect is in the store. Written together with the effect.
#[derive(Debug, Clone, Serialize)]
pub struct Completion {
    pub project: String,
    pub webhook_id: String,
    /// Attempts so far, this one included.
    pub attempts: u32,
    pub processed_at: DateTime<Utc>,
    /// Why less than the whole object is stored, if so.
    pub reason: Option<Reason>,
    /// The attempt that did it; kept unless it was the first.
    pub attempt: Option<Attempt>,
    /// Who is to be told of it.
    pub notifications: Vec<NewNotification>,
}

/// That an attempt failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub project: String,
    pub webhook_id: String,
    /// Attempts so far, this one included.
    pub attempts: u32,
    /// [`EventState::Retrying`] or [`EventState::Dead`].
    pub state: EventState,
    pub reason: Reason,
    /// The error with its causes. Cut to a bounded length.
    pub error: String,
    /// `None` when the event was put back without having been tried.
    pub attempt: Option<Attempt>,
    /// Who is to be told of it.
    pub notifications: Vec<NewNotification>,
}

/// A row of `events`. Another version may have written it.
#[derive(Debug, Clone, Serialize)]
pub struct EventRecord {
    pub project: String,
    pub webhook_id: String,
    pub event_id: Option<String>,
    #[serde(rename = "type")]
    pub event_type: String,
    pub family: MaybeKnown<Family>,
    pub object_id: Option<String>,
    pub created_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    pub processed_at: Option<DateTime<Utc>>,
    pub attempts: u32,
    pub state: MaybeKnown<EventState>,
    pub reason: Option<MaybeKnown<Reason>>,
    pub last_error: Option<String>,
    #[serde(serialize_with = "json_text::nested_bytes")]
    pub body: Vec<u8>,
}

columns! {
    EventRecord {
        project: Text,
        webhook_id: Key,
        event_id: Key,
        event_type as "type": Text,
        family: Text,
        object_id: Key,
        created_at: Time,
        received_at: Time,
        processed_at: Time,
        attempts: Integer,
        state: Text,
        reason: Text,
        last_error: Text,
        body: VerbatimJson + body_bytes,
    }
}

/// Which events to list. The default asks for the 50 newest.
#[derive(Debug, Clone, Serialize)]
pub struct EventFilter {
    pub project: Option<String>,
    pub family: Option<Family>,
    pub state: Option<EventState>,
    /// Received at this time or later.
    pub since: Option<DateTime<Utc>>,
    pub limit: u32,
}

/// Where an event stands in the order in which workers first saw events. The default is before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct EventSeq(pub(crate) i64);

impl Default for EventFilter {
    fn default() -> Self {
        Self { project: None, family: None, state: None, since: None, limit: 50 }
    }
}
