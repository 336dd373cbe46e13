//! The state of the queue and of the database at this moment: what `landfall status` prints and the console's overview
//! shows.

use chrono::Utc;
use queue::{FamilyStats, Instance, Pause, QueueAdmin, QueueError};
use serde::Serialize;
use store::{Import, Store, StoreError};
use webhook::{EventState, Family, MaybeKnown};

/// More than all workers together import at a time.
const IMPORTS_MAX: u32 = 100;

/// What Redis knows.
#[derive(Debug, Clone, Serialize)]
pub struct QueueStatus {
    pub total: Total,
    pub families: Vec<FamilyStats>,
    /// Families that all workers have paused after a 429.
    pub pauses: Vec<Paused>,
    /// Programs with a heartbeat within a day, live ones first.
    pub instances: Vec<Running>,
}

/// The counts of all families together.
#[derive(Debug, Clone, Serialize)]
pub struct Total {
    /// Undelivered, pending and delayed.
    pub backlog: u64,
    pub undelivered: u64,
    pub pending: u64,
    pub delayed: u64,
    pub dead: u64,
    pub oldest_ms: Option<u64>,
    pub overdue_ms: u64,
}

/// A pause in effect.
#[derive(Debug, Clone, Serialize)]
pub struct Paused {
    pub project: String,
    pub family: Family,
    pub reason: String,
    pub left_ms: u64,
}

/// A program.
#[derive(Debug, Clone, Serialize)]
pub struct Running {
    pub id: String,
    pub program: String,
    pub version: String,
    pub host: String,
    pub alive: bool,
    pub up_secs: u64,
    /// Time since the last heartbeat; live programs send one every ten seconds.
    pub silent_secs: u64,
    /// `null` for a program that sends no notifications.
    pub targets: Option<Vec<String>>,
}

/// What the database knows.
#[derive(Debug, Clone)]
pub struct StoreStatus {
    pub events: Vec<EventCount>,
    pub imports: Vec<Importing>,
}

/// The events of one family and state.
#[derive(Debug, Clone, Serialize)]
pub struct EventCount {
    pub family: MaybeKnown<Family>,
    pub state: MaybeKnown<EventState>,
    pub count: i64,
}

/// A batch that is being imported.
#[derive(Debug, Clone, Serialize)]
pub struct Importing {
    pub project: String,
    pub batch_id: String,
    pub rows_stored: i64,
    pub requests_total: Option<i64>,
    pub rows_per_sec: f64,
    pub left_secs: Option<u64>,
}

impl QueueStatus {
    /// Reads it all from Redis.
    ///
    /// # Errors
    /// When Redis cannot be read.
    pub async fn read(queue: &QueueAdmin) -> Result<Self, QueueError> {
        let families = queue.stats().await?;
        let pauses = queue.pauses().await?.into_iter().map(Paused::from).collect();
        let instances = queue.instances().await?.into_iter().map(Running::from).collect();
        Ok(Self { total: Total::of(&families), families, pauses, instances })
    }

    /// Whether an import can be running: a worker is alive and a batch entry is pending.
    pub fn is_importing(&self) -> bool {
        let is_batch = |family: &FamilyStats| family.family == Family::Batch && family.pending > 0;
        self.alive("worker").next().is_some() && self.families.iter().any(is_batch)
    }

    /// The live instances of a program.
    pub fn alive<'a>(&'a self, program: &'a str) -> impl Iterator<Item = &'a Running> {
        self.instances.iter().filter(move |instance| instance.alive && instance.program == program)
    }
}

impl StoreStatus {
    /// Reads it all from the database. Imports get a time left only if `is_importing`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(store: &Store, is_importing: bool) -> Result<Self, StoreError> {
        let counts = store.count_events().await?;
        let event_count = |(family, state, count)| EventCount { family, state, count };
        let events = counts.into_iter().map(event_count).collect();
        Ok(Self { events, imports: imports(store, is_importing).await? })
    }
}

/// The batches that are being imported. They get a time left only if `is_importing`.
///
/// # Errors
/// When the database cannot be read.
pub async fn imports(store: &Store, is_importing: bool) -> Result<Vec<Importing>, StoreError> {
    let now = Utc::now();
    let importing = |import: Import| Importing {
        rows_per_sec: import.rows_per_sec(now),
        left_secs: import.left(now).filter(|_| is_importing).map(|left| left.as_secs()),
        project: import.project,
        batch_id: import.batch_id,
        rows_stored: import.rows_stored,
        requests_total: import.requests_total,
    };
    Ok(store.imports(IMPORTS_MAX).await?.into_iter().map(importing).collect())
}

impl Total {
    fn of(families: &[FamilyStats]) -> Self {
        let sum = |count: fn(&FamilyStats) -> u64| families.iter().map(count).sum::<u64>();
        let (undelivered, pending, delayed) =
            (sum(|family| family.undelivered), sum(|family| family.pending), sum(|family| family.delayed));
        Self {
            backlog: undelivered + pending + delayed,
            undelivered,
            pending,
            delayed,
            dead: sum(|family| family.dead),
            oldest_ms: families.iter().filter_map(|family| family.oldest_ms).max(),
            overdue_ms: families.iter().map(|family| family.overdue_ms).max().unwrap_or(0),
        }
    }
}

impl From<Pause> for Paused {
    fn from(pause: Pause) -> Self {
        let left_ms = u64::try_from(pause.left.as_millis()).unwrap_or(u64::MAX);
        Self { project: pause.project, family: pause.family, reason: pause.reason, left_ms }
    }
}

impl From<Instance> for Running {
    fn from(instance: Instance) -> Self {
        Self {
            alive: instance.is_alive(),
            up_secs: instance.up.as_secs(),
            silent_secs: instance.silent.as_secs(),
            id: instance.id,
            program: instance.info.program,
            version: instance.info.version,
            host: instance.info.host,
            targets: instance.info.targets.map(|targets| targets.names),
        }
    }
}
