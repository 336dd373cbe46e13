//! Enqueues events: those that `ingest` received, each `webhook-id` once and confirmed only after Redis has them; and
//! stored events that an operator enqueues again.

use std::sync::Arc;
use std::time::Duration;

use redis::Client;
use tokio::sync::Semaphore;
use webhook::Family;

use crate::batcher::Batcher;
use crate::config::QueueConfig;
use crate::connection::{self, SharedConnection};
use crate::dedupe::{DedupeRecord, generation_secs};
use crate::enqueue::{self, EnqueueLimits, Enqueued, EventArgs, Reply};
use crate::entry::EntryRef;
use crate::error::{EnqueueError, QueueError};
use crate::keys::{FamilyKeys, Keys};
use crate::scripts;

/// Events that may wait for Redis at the same time. More are refused immediately, so that a slow Redis fills OpenAI's
/// retry queue and not our memory.
const MAX_WAITING_EVENTS: usize = 4096;

/// Adds events to the streams. Clones share their connection.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    connection: SharedConnection,
    batcher: Batcher,
}

struct Shared {
    client: Client,
    keys: Keys,
    limits: EnqueueLimits,
    event_permits: Arc<Semaphore>,
}

impl Producer {
    /// Connects on first use, so that `ingest` starts while Redis is down. Needs a Tokio runtime.
    pub fn new(
        config: &QueueConfig,
        stream_length_max: u64,
        dedupe_window: Duration,
    ) -> Result<Self, QueueError> {
        let keys = Keys::new(&config.key_prefix);
        let generation_secs = generation_secs(dedupe_window);
        let limits = EnqueueLimits { stream_length_max, seen_key: keys.seen(), generation_secs };
        let client = connection::client(config)?;
        let event_permits = Arc::new(Semaphore::new(MAX_WAITING_EVENTS));
        Ok(Self::of(Arc::new(Shared { client, keys, limits, event_permits })))
    }

    /// A copy with a separate connection and batcher, for a thread with its own Tokio runtime: events and replies then
    /// stay on that thread.
    #[must_use]
    pub fn for_thread(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    fn of(shared: Arc<Shared>) -> Self {
        let connection = SharedConnection::new(shared.client.clone());
        let permits = Arc::clone(&shared.event_permits);
        let batcher = Batcher::start(connection.clone(), shared.limits.clone(), permits);
        Self { shared, connection, batcher }
    }

    /// Enqueues an event. When it returns `Ok`, Redis has the event, as durably as Redis is configured.
    ///
    /// When Redis did not accept the event, or did not confirm in time. The sender should retry; a repetition is
    /// harmless.
    pub async fn enqueue<'e>(
        &self,
        family: Family,
        entry: impl Into<EntryRef<'e>>,
    ) -> Result<Enqueued, EnqueueError> {
        let entry = entry.into();
        let events_key = self.shared.keys.events(family);
        let record = DedupeRecord::new(entry.project, entry.webhook_id);
        self.batcher.enqueue(EventArgs { events_key, record, fields: entry.fields() }).await
    }

    /// Enqueues a stored event again. `run` identifies the operator's command: a call repeated within it after a lost
    /// reply adds nothing; another command adds the event again.
    pub async fn enqueue_again<'e>(
        &self,
        family: Family,
        entry: impl Into<EntryRef<'e>>,
        run: &str,
    ) -> Result<Enqueued, EnqueueError> {
        let (entry, keys) = (entry.into(), &self.shared.keys);
        let replayed_key = keys.replayed(entry.project, run, entry.webhook_id);
        let (length_max, fields) = (self.shared.limits.stream_length_max, entry.fields());
        let script = enqueue::enqueue_again(length_max, &keys.events(family), &replayed_key, &fields);
        enqueue::read(self.connection.invoke(&script).await?)
    }

    /// Whether Redis would accept an event: runs the real script on a separate key, and removes the entry.
    pub async fn check(&self) -> Result<(), EnqueueError> {
        let check_key = self.shared.keys.check();
        let seen_key = format!("{check_key}:seen");
        // The record expires within three seconds.
        let limits = EnqueueLimits { seen_key, generation_secs: 1, ..self.shared.limits.clone() };
        let record = DedupeRecord::new("check", &fastrand::u64(..).to_string());
        let fields = vec![b"check".to_vec(), b"1".to_vec()];
        let event = EventArgs { events_key: check_key.clone(), record, fields };
        let script = enqueue::enqueue(&limits, [&event].into_iter());
        let replies: Vec<Reply> = self.connection.invoke(&script).await?;
        replies.into_iter().try_for_each(|reply| enqueue::read(reply).map(drop))?;
        // An entry that stays is harmless.
        let _: Result<(), _> = self.connection.query(redis::cmd("UNLINK").arg(check_key)).await;
        Ok(())
    }

    /// Whether Redis replies.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let pong = self.connection.query(&redis::cmd("PING")).await;
        pong.map_err(QueueError::while_doing("ping Redis"))
    }

    /// Creates missing streams and groups, so that `redis-cli` shows all families from the start. Events enqueued
    /// without a group are not lost: groups are created at 0, here and by workers.
    pub async fn create_groups(&self) -> Result<(), QueueError> {
        for &family in Family::ALL {
            let keys = FamilyKeys::new(&self.shared.keys, family);
            scripts::ensure_group(&self.connection, &keys).await?;
        }
        Ok(())
    }
}
