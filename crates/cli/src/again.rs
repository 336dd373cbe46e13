//! Puts events into the queue for an operator: stored ones once more, for `replay` and `fetch`, and for `fetch` such as
//! OpenAI would have sent. The worker does the rest, as with any other event.

use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::{DEDUPE_WINDOW, EnqueueError, Enqueued, Entry, Producer};
use service::settings::RedisSettings;
use store::EventRecord;
use webhook::Family;

use crate::exit::Failure;
use crate::queued;

/// An operator's events leave most of the room in a family's queue to what comes in.
const QUEUE_LENGTH_MAX: u64 = 100_000;
const LOOK_FOR_ROOM_EVERY: Duration = Duration::from_secs(1);
/// Tries of one event whose answer was lost; the queue takes only the first.
const TRIES_MAX: u32 = 3;

/// One run of a command.
pub(crate) struct Again {
    producer: Producer,
    run: String,
    told_of_full_queue: bool,
}

impl Again {
    /// Connects when it is first used.
    pub(crate) fn new(settings: &RedisSettings) -> Result<Self, Failure> {
        let producer = Producer::new(&queued::config(settings), QUEUE_LENGTH_MAX, DEDUPE_WINDOW)
            .map_err(queued::failure)?;
        Ok(Self { producer, run: random_id(), told_of_full_queue: false })
    }

    /// Enqueues a stored event; its entry id, unless the answer that had it was lost.
    pub(crate) async fn enqueue_stored(&mut self, event: &EventRecord) -> Result<Option<String>, Failure> {
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
        self.enqueue(event.family, &entry).await
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
                Err(error) => return Err(queued::enqueue_failure(error)),
            }
        }
    }
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
    pub(crate) fn about(object_id: &str, event_type: &'static str, project: &str) -> Self {
        Self {
            webhook_id: format!("fetch_{}", random_id()),
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
