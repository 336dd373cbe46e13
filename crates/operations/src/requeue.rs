//! Enqueues events for an operator: stored events again (`replay`, `fetch`), and synthetic events in OpenAI's format
//! (`fetch`). Workers process them like any other event. An event that is waiting for a retry is not added a second time;
//! it becomes due now.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use queue::{DEDUPE_WINDOW, EnqueueError, Enqueued, Entry, Producer, QueueAdmin, QueueConfig, QueueError};
use store::EventRecord;
use webhook::{EventKind, EventState, Family};

/// Leaves most of a family's queue to incoming events.
const QUEUE_LENGTH_MAX: u64 = 100_000;
/// Delayed entries read at a time, with their bodies.
const READ_AT_ONCE: usize = 100;
/// Attempts to enqueue one event when Redis's reply is lost; the queue deduplicates them.
const TRIES_MAX: u32 = 3;

/// Why an event was not enqueued.
#[derive(Debug, thiserror::Error)]
pub enum RequeueError {
    /// Workers drain the queue; the event can be enqueued after that.
    #[error("the {0} queue is full")]
    Full(Family),
    #[error(transparent)]
    Enqueue(EnqueueError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// Enqueues the events of one act: each of them once, however often it is named.
pub struct Requeuer {
    producer: Producer,
    reader: QueueAdmin,
    run: String,
    /// Delayed entries of each family, as of the first event of that family.
    waiting: HashMap<Family, Waiting>,
}

/// Delayed entries by project and `webhook-id`.
type Waiting = HashMap<(String, String), Vec<WaitingEntry>>;

struct WaitingEntry {
    entry_id: String,
    is_replay: bool,
}

/// How an event was requeued.
#[derive(Debug)]
pub enum Requeued {
    /// A new entry was added; the id is missing when Redis's reply was lost.
    Added(Option<String>),
    /// The delayed entry with this id is due now.
    MadeDue(String),
}

impl Requeued {
    /// The entry that does the work.
    pub fn into_entry_id(self) -> Option<String> {
        match self {
            Self::Added(entry_id) => entry_id,
            Self::MadeDue(entry_id) => Some(entry_id),
        }
    }
}

impl Requeuer {
    /// Connects on first use. `run` names the act: an event that was enqueued in the same run is not enqueued again.
    ///
    /// # Errors
    /// When the URL of Redis is invalid.
    pub fn new(config: &QueueConfig, run: String) -> Result<Self, QueueError> {
        let producer = Producer::new(config, QUEUE_LENGTH_MAX, DEDUPE_WINDOW)?;
        let reader = QueueAdmin::new(config)?;
        Ok(Self { producer, reader, run, waiting: HashMap::new() })
    }

    /// Makes a stored event run again: makes its delayed entry due, or enqueues a new entry. After an error, the same
    /// call may be repeated.
    ///
    /// # Errors
    /// When the queue is full, or Redis fails.
    pub async fn requeue(&mut self, event: &EventRecord) -> Result<Requeued, RequeueError> {
        if let Some(entry_id) = self.make_due(event).await? {
            return Ok(Requeued::MadeDue(entry_id));
        }
        let entry = Entry {
            webhook_id: event.webhook_id.clone(),
            project: event.project.clone(),
            event_type: event.event_type.clone(),
            // The header is not stored; ingest accepts only timestamps close to the time of receipt.
            timestamp_secs: event.received_at.timestamp(),
            // Restarts the worker's retry window.
            received_ms: Utc::now().timestamp_millis(),
            body: event.body.clone(),
            traceparent: None,
            replay_of: Some(event.webhook_id.clone()),
        };
        Ok(Requeued::Added(self.enqueue(family(event), &entry).await?))
    }

    /// Makes all delayed entries of an event due. Returns the id of one that does what a new entry would do.
    async fn make_due(&mut self, event: &EventRecord) -> Result<Option<String>, QueueError> {
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
        // An original delivery of an event that is already stored ends without fetching.
        let tries = |entry: &WaitingEntry| entry.is_replay || event.state != EventState::Stored;
        let tried = entries.into_iter().find(|entry| tries(entry) && due.contains(&entry.entry_id));
        Ok(tried.map(|entry| entry.entry_id))
    }

    /// Enqueues an event that OpenAI did not send, or that was never delivered. The id is missing when Redis's reply was
    /// lost.
    pub async fn enqueue_synthetic(
        &self,
        family: Family,
        event: &SyntheticEvent,
    ) -> Result<Option<String>, RequeueError> {
        let entry = Entry {
            webhook_id: event.webhook_id.clone(),
            project: event.project.clone(),
            event_type: event.event_type.to_owned(),
            timestamp_secs: event.created_at.timestamp(),
            received_ms: event.created_at.timestamp_millis(),
            body: event.body(),
            traceparent: None,
            // A replay: the worker fetches the object again even if it is stored.
            replay_of: Some(event.webhook_id.clone()),
        };
        self.enqueue(family, &entry).await
    }

    async fn enqueue(&self, family: Family, entry: &Entry) -> Result<Option<String>, RequeueError> {
        let mut tries = 1;
        loop {
            match self.producer.enqueue_again(family, entry, &self.run).await {
                Ok(Enqueued::Added { entry_id }) => return Ok(Some(entry_id)),
                Ok(Enqueued::Duplicate) => return Ok(None),
                Err(EnqueueError::Full) => return Err(RequeueError::Full(family)),
                Err(EnqueueError::Timeout(_)) if tries < TRIES_MAX => tries += 1,
                Err(error) => return Err(RequeueError::Enqueue(error)),
            }
        }
    }
}

async fn waiting(reader: &QueueAdmin, family: Family) -> Result<Waiting, QueueError> {
    let ids: Vec<String> = reader.delayed(family).await?.into_iter().map(|entry| entry.entry_id).collect();
    let mut waiting = Waiting::new();
    // Bodies are not kept in memory.
    for ids in ids.chunks(READ_AT_ONCE) {
        for (entry_id, entry) in reader.entries(family, ids).await? {
            let is_replay = entry.replay_of.is_some();
            let name = (entry.project, entry.webhook_id);
            waiting.entry(name).or_default().push(WaitingEntry { entry_id, is_replay });
        }
    }
    Ok(waiting)
}

/// The event's family; for a family that this version does not know, the one that its type implies.
fn family(event: &EventRecord) -> Family {
    event.family.known().unwrap_or_else(|| EventKind::from_name(&event.event_type).family())
}

/// A thin event that Landfall creates for an object.
#[derive(Debug)]
pub struct SyntheticEvent {
    pub webhook_id: String,
    pub project: String,
    pub event_type: &'static str,
    pub object_id: String,
    pub created_at: DateTime<Utc>,
}

impl SyntheticEvent {
    /// Prefix of its `webhook-id`; OpenAI's is `wh_`.
    pub const ID_PREFIX: &'static str = "fetch_";

    pub fn about(object_id: &str, event_type: &'static str, project: &str) -> Self {
        Self {
            webhook_id: format!("{}{}", Self::ID_PREFIX, random_id()),
            project: project.to_owned(),
            event_type,
            object_id: object_id.to_owned(),
            created_at: Utc::now(),
        }
    }

    /// OpenAI's format without the event id, which only OpenAI assigns.
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
pub fn random_id() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(24).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook::Event;

    #[test]
    fn a_synthetic_event_parses_like_one_from_openai() {
        let synthetic = SyntheticEvent::about("resp_\"1\"", "response.completed", "default");
        let body = synthetic.body();
        let event = Event::parse(&body).unwrap();
        assert_eq!((event.kind.as_str(), event.kind.family()), ("response.completed", Family::Response));
        assert_eq!(event.object_id().as_deref(), Some("resp_\"1\""));
        assert_eq!((event.event_id, event.created_at_secs), (None, Some(synthetic.created_at.timestamp())));
        assert!(synthetic.webhook_id.starts_with("fetch_"));
    }
}
