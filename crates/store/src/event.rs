//! Rows of `events`: every webhook that reached a worker, and its state.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use webhook::{EventState, Family, MaybeKnown, Reason};

use crate::columns::columns;
use crate::event_attempt::Attempt;
use crate::json_text;
use crate::notification::{AttemptEnd, NewNotification};
use crate::page_position::PagePosition;
use crate::response::ResponseRecord;

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
    /// When ingest received it.
    pub received_at: DateTime<Utc>,
    /// Byte for byte as received.
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

/// Marks an event as stored. Written in the transaction of the event's effect.
#[derive(Debug, Clone, Serialize)]
pub struct Completion {
    pub project: String,
    pub webhook_id: String,
    /// Attempts so far, including this one.
    pub attempts: u32,
    pub processed_at: DateTime<Utc>,
    /// Why the object is stored incompletely, if so.
    pub reason: Option<Reason>,
    /// The successful attempt; recorded unless it was the first.
    pub attempt: Option<Attempt>,
    /// The notifications to write.
    pub notifications: Vec<NewNotification>,
    /// How the attempts ended of those that were sent before they are written.
    #[serde(skip)]
    pub sent_early: Vec<AttemptEnd>,
}

/// An event that is done, and the response that was fetched for it, if any.
#[derive(Debug, Clone)]
pub struct FinishedEvent {
    pub event: NewEvent,
    pub response: Option<Box<ResponseRecord>>,
    pub completion: Completion,
}

/// Records a failed attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub project: String,
    pub webhook_id: String,
    /// Attempts so far, including this one.
    pub attempts: u32,
    /// [`EventState::Retrying`] or [`EventState::Dead`].
    pub state: EventState,
    pub reason: Reason,
    /// The error with its causes. Truncated.
    pub error: String,
    /// `None` when the event was released without an attempt.
    pub attempt: Option<Attempt>,
    /// The notifications to write.
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

/// Selects events to list. The default is the 50 newest.
#[derive(Debug, Clone, Serialize)]
pub struct EventFilter {
    pub project: Option<String>,
    pub family: Option<Family>,
    pub state: Option<EventState>,
    /// Received at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only events after this one in the list: the last one of the previous page.
    pub after: Option<PagePosition>,
    pub limit: u32,
}

/// The position of an event in the order in which workers first saw events: the column `place`. The default is before
/// all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct EventSeq(pub(crate) i64);

impl Default for EventFilter {
    fn default() -> Self {
        Self { project: None, family: None, state: None, since: None, after: None, limit: 50 }
    }
}
