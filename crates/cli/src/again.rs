//! Puts events into the queue for an operator: stored ones once more, for `replay` and `fetch`, and for `fetch` such as
//! OpenAI would have sent. The worker does the rest, as with any other event. An event that waits for its retry is not
//! added a second time: its wait ends.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::{DEDUPE_WINDOW, EnqueueError, Enqueued, Entry, Producer, QueueAdmin, QueueError};
use service::settings::RedisSettings;
use store::EventRecord;
use webhook::{EventKind, EventState, Family};

use crate::exit::Failure;
use crate::queued;

/// An operator's events leave most of the room in a family's queue to what comes in.
const QUEUE_LENGTH_MAX: u64 = 100_000;
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);
/// Waiting entries read at a time, bodies and all.
const READ_AT_ONCE: usize = 100;
/// Tries of one event whose answer was lost; the queue takes only the first.
const TRIES_MAX: u32 = 3;

/// One run of a command.
pub(crate) struct Again {
    producer: Producer,
    reader: QueueAdmin,
    run: String,
    /// What waited for its retry when the run first asked.
    waiting: HashMap<Family, Waiting>,
    told_of_full_queue: bool,
}

/// Waiting entries by project and `webhook-id`.
type Waiting = HashMap<(String, String), Vec<WaitingEntry>>;

struct WaitingEntry {
    entry_id: String,
    is_replay: bool,
}

/// How an event came to be tried again.
pub(crate) enum Requeued {
    /// As a new entry; its id, unless the answer that had it was lost.
    Added(Option<String>),
    /// Its entry waited, and is due now.
    MadeDue(String),
}

impl Requeued {
    pub(crate) fn into_entry_id(self) -> Option<String> {
        match self {
            Self::Added(entry_id) => entry_id,
            Self::MadeDue(entry_id) => Some(entry_id),
        }
    }
}

impl Again {
    /// Connects when it is first used.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, Failure> {
        let producer = Producer::new(&queued::config(settings), QUEUE_LENGTH_MAX, DEDUPE_WINDOW)?;
        let reader = queued::reader(settings)?;
        Ok(Self { producer, reader, run: random_id(), waiting: HashMap::new(), told_of_full_queue: false })
    }

    /// Makes workers try a stored event again: ends its wait, or enqueues it.
    pub(crate) async fn requeue(&mut self, event: &EventRecord) -> Result<Requeued, Failure> {
        if let Some(entry_id) = self.make_due(event).await? {
            return Ok(Requeued::MadeDue(entry_id));
        }
        let entry = Entry {
            webhook_id: event.webhook_id.clone(),
            project: event.project.clone(),
            event_type: event.event_type.clone(),
            // The header is not stored; ingest takes nothing that is far from it.
            timestamp_secs: event.received_at.timestamp(),
            // Now: the times for which a worker tries begin anew.
            received_ms: Utc::now().timestamp_millis(),
            body: event.body.clone(),
            traceparent: None,
            replay_of: Some(event.webhook_id.clone()),
        };
        Ok(Requeued::Added(self.enqueue(family(event), &entry).await?))
    }

    /// Ends the waits of all entries of an event; the one that will do what a new entry would.
    async fn make_due(&mut self, event: &EventRecord) -> Result<Option<String>, Failure> {
        let family = family(event);
        if !self.waiting.contains_key(&family) {
            let waiting = waiting(&self.reader, family).await?;
            self.waiting.insert(family, waiting);
        }
        let name = (event.project.clone(), event.webhook_id.clone());
        let Some(entries) = self.waiting.get_mut(&family).and_then(|waiting| waiting.remove(&name)) else {
            return Ok(None);
        };
        let ids: Vec<String> = entries.iter().map(|entry| entry.entry_id.clone()).collect();
        let due = self.reader.make_due(family, &ids).await?;
        // The first delivery of an event that is stored meanwhile only ends; it fetches nothing.
        let tries = |entry: &WaitingEntry| entry.is_replay || event.state != EventState::Stored;
        let tried = entries.into_iter().find(|entry| tries(entry) && due.contains(&entry.entry_id));
        Ok(tried.map(|entry| entry.entry_id))
    }

    /// Enqueues an event that OpenAI did not send, or whose delivery never came.
    pub(crate) async fn enqueue_made(
        &mut self,
        family: Family,
        made: &MadeEvent,
    ) -> Result<Option<String>, Failure> {
        let entry = Entry {
            webhook_id: made.webhook_id.clone(),
            project: made.project.clone(),
            event_type: made.event_type.to_owned(),
            timestamp_secs: made.created_at.timestamp(),
            received_ms: made.created_at.timestamp_millis(),
            body: made.body(),
            traceparent: None,
            // Nothing was received, but a person asks for it: what is stored of the object is looked at again.
            replay_of: Some(made.webhook_id.clone()),
        };
        self.enqueue(family, &entry).await
    }

    /// Waits for room however long it takes: Ctrl-C ends it, and what is enqueued stays.
    async fn enqueue(&mut self, family: Family, entry: &Entry) -> Result<Option<String>, Failure> {
        let mut tries = 1;
        loop {
            match self.producer.enqueue_again(family, entry, &self.run).await {
                Ok(Enqueued::Added { entry_id }) => return Ok(Some(entry_id)),
                Ok(Enqueued::Duplicate) => return Ok(None),
                Err(EnqueueError::Full) => {
                    if !self.told_of_full_queue {
                        self.told_of_full_queue = true;
                        eprintln!("landfall: the queue of family {family} is full; waiting for workers");
                    }
                    tokio::time::sleep(LOOK_FOR_ROOM_EVERY).await;
                }
                Err(EnqueueError::Timeout(_)) if tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn waiting(reader: &QueueAdmin, family: Family) -> Result<Waiting, QueueError> {
    let ids: Vec<String> = reader.delayed(family).await?.into_iter().map(|entry| entry.entry_id).collect();
    let mut waiting = Waiting::new();
    // Bodies do not stay in memory.
    for ids in ids.chunks(READ_AT_ONCE) {
        for (entry_id, entry) in reader.entries(family, ids).await? {
            let is_replay = entry.replay_of.is_some();
            let name = (entry.project, entry.webhook_id);
            waiting.entry(name).or_default().push(WaitingEntry { entry_id, is_replay });
        }
    }
    Ok(waiting)
}

/// A family that only another version knows is here that of the event's type.
fn family(event: &EventRecord) -> Family {
    event.family.known().unwrap_or_else(|| EventKind::from_name(&event.event_type).family())
}

/// A thin event of our own about one object.
pub(crate) struct MadeEvent {
    pub(crate) webhook_id: String,
    pub(crate) project: String,
    pub(crate) event_type: &'static str,
    pub(crate) object_id: String,
    pub(crate) created_at: DateTime<Utc>,
}

impl MadeEvent {
    /// What its `webhook-id` begins with; OpenAI's begin with `wh_`.
    pub(crate) const ID_PREFIX: &'static str = "fetch_";

    pub(crate) fn about(object_id: &str, event_type: &'static str, project: &str) -> Self {
        Self {
            webhook_id: format!("{}{}", Self::ID_PREFIX, random_id()),
            project: project.to_owned(),
            event_type,
            object_id: object_id.to_owned(),
            created_at: Utc::now(),
        }
    }

    /// As OpenAI writes it, but for the event's id, which only OpenAI can give.
    fn body(&self) -> Vec<u8> {
        let body = serde_json::json!({
            "object": "event",
            "created_at": self.created_at.timestamp(),
            "type": self.event_type,
            "data": {"id": self.object_id},
        });
        body.to_string().into_bytes()
    }
}

/// Twenty-four random letters and digits.
pub(crate) fn random_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(24).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook::Event;

    #[test]
    fn a_made_event_reads_like_one_of_openais() {
        let made = MadeEvent::about("resp_\"1\"", "response.completed", "default");
        let body = made.body();
        let event = Event::parse(&body).unwrap();
        assert_eq!((event.kind.as_str(), event.kind.family()), ("response.completed", Family::Response));
        assert_eq!(event.object_id().as_deref(), Some("resp_\"1\""));
        assert_eq!((event.event_id, event.created_at_secs), (None, Some(made.created_at.timestamp())));
        assert!(made.webhook_id.starts_with("fetch_"));
    }
}
