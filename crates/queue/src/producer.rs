//! The one place that enqueues: `ingest` takes events in, each `webhook-id` once, and answers only after Redis has
//! them; an operator enqueues stored events again.

use std::sync::Arc;
use std::time::Duration;

use redis::Client;
use tokio::sync::Semaphore;
use webhook::Family;

use crate::batcher::Batcher;
use crate::config::QueueConfig;
use crate::connection::{self, SharedConnection};
use crate::entry::EntryRef;
use crate::error::{EnqueueError, QueueError};
use crate::keys::{FamilyKeys, Keys};
use crate::scripts::{self, EventArgs, SEEN_FOR};

/// Events that may wait for Redis at the same time; the next one is refused at once, so that OpenAI's retries and not
/// our memory hold what a slow Redis cannot take.
const MAX_WAITING_EVENTS: usize = 4096;
/// Within one command of an operator, a call is repeated after seconds if at all.
const REPLAYED_FOR: Duration = Duration::from_secs(600);

/// What became of an event that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    Added {
        entry_id: String,
    },
    /// This `webhook-id` was taken in within the last seven days; with [`Producer::enqueue_again`], by the same run.
    Duplicate,
}

/// Writes events into the streams. Clones share their connection.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
    connection: SharedConnection,
    batcher: Batcher,
}

struct Shared {
    client: Client,
    keys: Keys,
    stream_length_max: u64,
    event_permits: Arc<Semaphore>,
}

impl Producer {
    /// Connects when it is first used, so that `ingest` starts while Redis is down. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(config: &QueueConfig, stream_length_max: u64) -> Result<Self, QueueError> {
        Ok(Self::of(Arc::new(Shared {
            client: connection::client(config)?,
            keys: Keys::new(&config.key_prefix),
            stream_length_max,
            event_permits: Arc::new(Semaphore::new(MAX_WAITING_EVENTS)),
        })))
    }

    /// The same with a connection and a batcher of its own, for a thread that has its own Tokio runtime: what waits for
    /// Redis, and the answers, then never change threads.
    #[must_use]
    pub fn for_thread(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }

    fn of(shared: Arc<Shared>) -> Self {
        let connection = SharedConnection::new(shared.client.clone());
        let permits = Arc::clone(&shared.event_permits);
        let batcher = Batcher::start(connection.clone(), shared.stream_length_max, permits);
        Self { shared, connection, batcher }
    }

    /// Enqueues an event. When it returns `Ok`, Redis has the event, as durable as Redis is configured.
    ///
    /// # Errors
    /// When Redis did not take it, or did not say so in time: the sender shall try again, a repetition is harmless.
    pub async fn enqueue<'e>(
        &self,
        family: Family,
        entry: impl Into<EntryRef<'e>>,
    ) -> Result<Enqueued, EnqueueError> {
        let entry = entry.into();
        let key = self.shared.keys.seen(entry.project, entry.webhook_id);
        self.add(family, entry, key, SEEN_FOR).await
    }

    /// Takes in a stored event that was taken in before. `run` names the operator's command: a call that is repeated
    /// in it, because an answer was lost, adds nothing; another command adds the event again.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn enqueue_again<'e>(
        &self,
        family: Family,
        entry: impl Into<EntryRef<'e>>,
        run: &str,
    ) -> Result<Enqueued, EnqueueError> {
        let entry = entry.into();
        let key = self.shared.keys.replayed(entry.project, run, entry.webhook_id);
        self.add(family, entry, key, REPLAYED_FOR).await
    }

    async fn add(
        &self,
        family: Family,
        entry: EntryRef<'_>,
        dedupe_key: String,
        ttl: Duration,
    ) -> Result<Enqueued, EnqueueError> {
        let events_key = self.shared.keys.events(family);
        let event = EventArgs { events_key, dedupe_key, ttl_secs: ttl.as_secs(), fields: entry.fields() };
        self.batcher.enqueue(event).await
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let pong: Result<(), _> = self.connection.query(&redis::cmd("PING")).await;
        pong.map_err(|source| QueueError::Redis { operation: "ping Redis", source })
    }

    /// Creates every family's stream and group where they are missing, so that `redis-cli` shows all families at once.
    /// Events enqueued without a group are not lost: groups are created at 0, here and by workers.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn create_groups(&self) -> Result<(), QueueError> {
        for &family in Family::ALL {
            let keys = FamilyKeys::new(&self.shared.keys, family);
            scripts::ensure_group(&self.connection, &keys).await?;
        }
        Ok(())
    }
}
