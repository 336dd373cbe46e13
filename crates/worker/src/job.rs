//! One delivery after parsing: the queue entry and the event in its body. Parsed once.

use std::borrow::Cow;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use queue::{Delivery, Entry};
use store::{Attempt, Completion, NewEvent};
use webhook::{Event, EventKind, Family, Reason, Urgency};

use crate::watchdog::Progress;

/// An older event is as good as this one: a hundred years.
const AGE_SECS_MAX: i64 = 100 * 365 * 24 * 3600;

/// One attempt's input.
pub(crate) struct Job<'a> {
    pub(crate) entry: &'a Entry,
    /// `None` when the body is not the expected JSON; it is stored anyway.
    event: Option<Event<'a>>,
    object_id: Option<Cow<'a, str>>,
    /// From 1.
    pub(crate) attempt: u32,
    is_new: bool,
    /// The error of the previous attempt, by any worker.
    pub(crate) last_error: Option<String>,
    /// This worker's consumer name.
    worker: &'a str,
    started_at: DateTime<Utc>,
    started: Instant,
    pub(crate) progress: Progress,
}

impl<'a> Job<'a> {
    /// `entry` is the delivery's entry.
    pub(crate) fn parse(entry: &'a Entry, delivery: &Delivery, worker: &'a str) -> Self {
        let event = Event::parse(&entry.body).ok();
        let object_id = event.as_ref().and_then(Event::object_id);
        Self {
            entry,
            event,
            object_id,
            attempt: delivery.attempt,
            is_new: delivery.attempt == 1 && delivery.crashes == 0 && entry.replay_of.is_none(),
            last_error: delivery.last_error.clone(),
            worker,
            started_at: Utc::now(),
            started: Instant::now(),
            progress: Progress::default(),
        }
    }

    /// Whether an operator requested it: a stored object is then fetched again.
    pub(crate) fn is_forced(&self) -> bool {
        self.entry.replay_of.is_some()
    }

    /// Whether the queue knows of no attempt, crash or replay of it: no worker has had it before.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    pub(crate) fn family(&self) -> Family {
        self.event.as_ref().map_or(Family::Other, |event| event.kind.family())
    }

    pub(crate) fn object_id(&self) -> Option<&str> {
        self.object_id.as_deref()
    }

    /// `None` when the body is not the expected JSON.
    pub(crate) fn kind(&self) -> Option<&EventKind> {
        self.event.as_ref().map(|event| &event.kind)
    }

    /// Whether the event names an object that is fetched.
    pub(crate) fn has_object(&self) -> bool {
        self.object_id.is_some() && self.event.as_ref().is_some_and(|event| event.kind.has_object())
    }

    pub(crate) fn event_id(&self) -> Option<&str> {
        self.event.as_ref()?.event_id.as_deref()
    }

    /// `data` as it was sent: an id, or from some senders the whole object.
    pub(crate) fn data(&self) -> Option<&'a [u8]> {
        Some(self.event.as_ref()?.data?.get().as_bytes())
    }

    /// The event's creation time according to OpenAI.
    pub(crate) fn created_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.event.as_ref()?.created_at_secs?, 0)
    }

    /// When ingest received it.
    pub(crate) fn received_at(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.entry.received_ms).unwrap_or_default()
    }

    /// Whether a caller waits.
    pub(crate) fn is_call(&self) -> bool {
        self.kind().is_some_and(|kind| kind.urgency() == Urgency::Call)
    }

    /// The event's age when it was received, in seconds. Both times are of OpenAI's clock, so it does not matter how
    /// well ours is set.
    pub(crate) fn age_on_arrival_secs(&self) -> i64 {
        let created_at = self.event.as_ref().and_then(|event| event.created_at_secs);
        created_at.map_or(0, |at| self.entry.timestamp_secs.saturating_sub(at).clamp(0, AGE_SECS_MAX))
    }

    /// When the event happened, by our clock. A replay is received again, but its event keeps its age.
    pub(crate) fn happened_at(&self) -> DateTime<Utc> {
        let arrived_at = self.received_at() - TimeDelta::seconds(self.age_on_arrival_secs());
        if self.is_forced() { self.created_at().unwrap_or(arrived_at) } else { arrived_at }
    }

    pub(crate) fn new_event(&self) -> NewEvent {
        NewEvent {
            project: self.entry.project.clone(),
            webhook_id: self.entry.webhook_id.clone(),
            event_id: self.event_id().map(str::to_owned),
            event_type: self.entry.event_type.clone(),
            family: self.family(),
            object_id: self.object_id().map(str::to_owned),
            created_at: self.created_at(),
            received_at: self.received_at(),
            body: self.entry.body.clone(),
        }
    }

    /// This attempt, with the OpenAI response that ended it, if any.
    pub(crate) fn attempt_so_far(&self, http_status: Option<u16>, request_id: Option<String>) -> Attempt {
        Attempt {
            worker: self.worker.to_owned(),
            received_at: self.received_at(),
            started_at: self.started_at,
            duration: self.started.elapsed(),
            http_status,
            request_id,
        }
    }

    /// Sets the event's row to `stored`, in the transaction that stores its effect. Without notifications.
    pub(crate) fn completion(&self, reason: Option<Reason>) -> Completion {
        Completion {
            project: self.entry.project.clone(),
            webhook_id: self.entry.webhook_id.clone(),
            attempts: self.attempt,
            processed_at: Utc::now(),
            reason,
            attempt: Some(self.attempt_so_far(None, None)),
            notifications: Vec::new(),
            sent_early: Vec::new(),
        }
    }
}
