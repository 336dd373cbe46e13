//! The one place that enqueues: `ingest` takes events in, each `webhook-id` once, and answers only after Redis has
//! them; an operator enqueues stored events again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use webhook::Family;

use crate::config::QueueConfig;
use crate::connection::{self, SharedConnection};
use crate::entry::Entry;
use crate::error::{EnqueueError, QueueError};
use crate::keys::{FamilyKeys, Keys};
use crate::scripts::{self, Mark, SEEN_FOR};

/// With fsync on every write, Redis commits what several sockets bring at once together.
const CONNECTIONS: usize = 16;
/// Events that may wait for Redis at the same time; the next one is refused at once, so that OpenAI's retries and not
/// our memory hold what a slow Redis cannot take.
const IN_FLIGHT_MAX: usize = 4096;
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

/// Writes events into the streams. Clones share their connections.
#[derive(Clone)]
pub struct Producer(Arc<Inner>);

struct Inner {
    connections: Vec<SharedConnection>,
    next: AtomicUsize,
    in_flight: Semaphore,
    keys: Keys,
    stream_length_max: u64,
}

impl Producer {
    /// Connects when it is first used, so that `ingest` starts while Redis is down. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(config: &QueueConfig, stream_length_max: u64) -> Result<Self, QueueError> {
        let client = connection::client(config)?;
        let connections =
            (0..CONNECTIONS).map(|_| SharedConnection::new(client.clone())).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(Inner {
            connections,
            next: AtomicUsize::new(0),
            in_flight: Semaphore::new(IN_FLIGHT_MAX),
            keys: Keys::new(&config.key_prefix),
            stream_length_max,
        })))
    }

    /// Takes an event in. When it returns `Ok`, Redis has the event, as durable as Redis is configured.
    ///
    /// # Errors
    /// When Redis did not take it, or did not say so in time: the sender shall try again, a repetition is harmless.
    pub async fn enqueue(&self, family: Family, entry: &Entry) -> Result<Enqueued, EnqueueError> {
        let key = self.0.keys.seen(&entry.project, &entry.webhook_id);
        self.add(family, entry, &Mark { key, lasts: SEEN_FOR }).await
    }

    /// Takes in a stored event that was taken in before. `run` names the operator's command: a call that is repeated
    /// in it, because an answer was lost, adds nothing; another command adds the event again.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn enqueue_again(
        &self,
        family: Family,
        entry: &Entry,
        run: &str,
    ) -> Result<Enqueued, EnqueueError> {
        let key = self.0.keys.replayed(&entry.project, run, &entry.webhook_id);
        self.add(family, entry, &Mark { key, lasts: REPLAYED_FOR }).await
    }

    async fn add(&self, family: Family, entry: &Entry, mark: &Mark) -> Result<Enqueued, EnqueueError> {
        let Ok(_permit) = self.0.in_flight.try_acquire() else {
            return Err(EnqueueError::Overloaded);
        };
        let events = self.0.keys.events(family);
        let added =
            scripts::enqueue(self.connection(), mark, &events, self.0.stream_length_max, entry).await?;
        Ok(match added {
            Some(entry_id) => Enqueued::Added { entry_id },
            None => Enqueued::Duplicate,
        })
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let pong: Result<(), _> = self.connection().query(&redis::cmd("PING")).await;
        pong.map_err(|source| QueueError::Redis { operation: "ping Redis", source })
    }

    /// Creates every family's stream and group where they are missing, so that `redis-cli` shows all families at once.
    /// Events enqueued without a group are not lost: groups are created at 0, here and by workers.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn create_groups(&self) -> Result<(), QueueError> {
        for &family in Family::ALL {
            scripts::ensure_group(self.connection(), &FamilyKeys::new(&self.0.keys, family)).await?;
        }
        Ok(())
    }

    fn connection(&self) -> &SharedConnection {
        let next = self.0.next.fetch_add(1, Ordering::Relaxed);
        &self.0.connections[next % self.0.connections.len()]
    }
}
