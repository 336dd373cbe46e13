//! The cheap facts about the installation, read every few seconds for all pages together, so that no page waits for a
//! Redis or a database that does not answer.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use error_text::chain;
use operations::status::{Importing, QueueStatus, imports};
use queue::{Cause, QueueAdmin, QueueError};
use store::{EventSpan, Store, StoreError, TargetHealth};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::database::Database;

/// Between two reads, unless a page asks for an earlier one.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Longer than any answer takes that is worth waiting for.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// A page asks for a new read if the facts are older.
const FRESH: Duration = Duration::from_secs(1);
/// Longest time that a page waits for it.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// The facts of one read.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) read_at: DateTime<Utc>,
    pub(crate) queue: Result<QueueFacts, QueueDown>,
    pub(crate) store: Result<StoreFacts, NoStore>,
}

/// From Redis.
#[derive(Debug, Clone)]
pub(crate) struct QueueFacts {
    pub(crate) status: QueueStatus,
    /// The used share of `maxmemory`, if there is a limit.
    pub(crate) memory_used: Option<f64>,
}

/// Redis cannot be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueDown {
    /// What to do about it.
    pub(crate) hint: &'static str,
}

/// From the database.
#[derive(Debug, Clone)]
pub(crate) struct StoreFacts {
    pub(crate) events: Vec<EventSpan>,
    pub(crate) targets: Vec<TargetHealth>,
    /// Notifications that wait, by target.
    pub(crate) pending: Vec<(String, u64)>,
    pub(crate) imports: Vec<Importing>,
}

/// Why the database is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoStore {
    /// A worker creates it when it starts.
    NotCreated,
    OldSchema,
    Down,
}

impl Facts {
    async fn read(database: &Database, queue: &QueueAdmin) -> Self {
        let (queue, store) = tokio::join!(QueueFacts::read(queue), StoreFacts::read(database));
        Self { read_at: Utc::now(), queue, store }
    }

    fn is_fresh(&self) -> bool {
        (Utc::now() - self.read_at).to_std().is_ok_and(|age| age < FRESH)
    }
}

impl QueueFacts {
    async fn read(queue: &QueueAdmin) -> Result<Self, QueueDown> {
        let read = async {
            let status = QueueStatus::read(queue).await?;
            Ok::<_, QueueError>(Self { status, memory_used: queue.memory_used().await? })
        };
        match timeout(ANSWER_MAX, read).await {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(error)) => {
                tracing::debug!(error = chain(&error), "Redis cannot be read");
                Err(QueueDown { hint: Cause::of(&error).hint() })
            }
            Err(_) => Err(QueueDown { hint: Cause::Silent.hint() }),
        }
    }
}

impl StoreFacts {
    async fn read(database: &Database) -> Result<Self, NoStore> {
        let read = async {
            let store = database.reader().await.map_err(|down| NoStore::of(&down.0))?;
            Self::read_from(store).await.map_err(|error| NoStore::of(&error))
        };
        timeout(ANSWER_MAX, read).await.unwrap_or(Err(NoStore::Down))
    }

    async fn read_from(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            events: store.event_spans().await?,
            targets: store.target_health().await?,
            pending: store.pending_notifications().await?,
            imports: imports(store, true).await?,
        })
    }

    /// When the newest event was received.
    pub(crate) fn last_received_at(&self) -> Option<DateTime<Utc>> {
        self.events.iter().map(|span| span.last_received_at).max()
    }

    /// Notifications that wait for a target.
    pub(crate) fn waiting_for(&self, target: &str) -> u64 {
        self.pending.iter().find(|(name, _)| name == target).map_or(0, |(_, count)| *count)
    }
}

impl NoStore {
    fn of(error: &StoreError) -> Self {
        tracing::debug!(error = chain(error), "the database cannot be read");
        match error {
            StoreError::NoDatabase(_) | StoreError::NoTables(_) => Self::NotCreated,
            StoreError::OldSchema { .. } => Self::OldSchema,
            StoreError::Setting { .. }
            | StoreError::Folder { .. }
            | StoreError::Connect { .. }
            | StoreError::Obstructed { .. }
            | StoreError::Migrate(_)
            | StoreError::Database { .. }
            | StoreError::Files { .. }
            | StoreError::OutOfStep { .. } => Self::Down,
        }
    }
}

/// The facts as they were last read. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FactReader {
    facts: watch::Receiver<Option<Arc<Facts>>>,
    wanted: Arc<Notify>,
}

impl FactReader {
    /// Begins to read, until `stopped`.
    pub(crate) fn start(database: Database, queue: QueueAdmin, stopped: CancellationToken) -> Self {
        let (sender, facts) = watch::channel(None);
        let wanted = Arc::new(Notify::new());
        let reader = Self { facts, wanted: wanted.clone() };
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            loop {
                sender.send_replace(Some(Arc::new(Facts::read(&database, &queue).await)));
                // The time is over, or a page wants them.
                timeout(READ_EVERY, wanted.notified()).await.ok();
            }
        }));
        reader
    }

    /// The facts as they are known; `None` before the first read.
    pub(crate) fn known(&self) -> Option<Arc<Facts>> {
        self.facts.borrow().clone()
    }

    /// The same, after a new read if they are not fresh. Does not wait for a Redis or a database that does not answer.
    pub(crate) async fn fresh(&self) -> Option<Arc<Facts>> {
        if !self.known().is_some_and(|facts| facts.is_fresh()) {
            let mut facts = self.facts.clone();
            facts.mark_unchanged();
            self.wanted.notify_one();
            timeout(WAIT_MAX, facts.changed()).await.ok();
        }
        self.known()
    }
}
