//! The look from outside, for people, metrics and readiness: how much is queued, and how old it is. Changes nothing; what
//! an operator may change is in `redrive.rs`.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, Client};
use webhook::Family;

use crate::config::QueueConfig;
use crate::connection::{self, CONNECT_TIMEOUT};
use crate::error::QueueError;
use crate::keys::{FamilyKeys, Keys};
use crate::overdue::Turn;
use crate::scripts;

const CONNECTIONS_MAX: usize = 4;
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What one family has, all counted in the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyStats {
    pub family: Family,
    /// Entries no worker has seen yet. Counted one by one up to a thousand or 1 MiB; beyond it, the rest of the stream.
    pub undelivered: u64,
    /// In a worker's hands.
    pub pending: u64,
    /// Waiting for their retry.
    pub delayed: u64,
    pub dead: u64,
    /// Age of the oldest entry that is not done.
    pub oldest_ms: Option<u64>,
    /// For how long the work that should run next has been past its turn: an entry no worker has seen, from when it
    /// came; a retry, from when it was due; both not before the end of their family's pause.
    pub overdue_ms: u64,
}

impl FamilyStats {
    /// All that is not done. Equals the stream's length unless entries were lost between the sets.
    pub fn backlog(&self) -> u64 {
        self.undelivered + self.pending + self.delayed
    }
}

/// Reads the queue without taking part in it. Clones share a small pool of connections.
#[derive(Clone)]
pub struct QueueReader {
    pool: Pool,
    /// For looks beside the pool.
    pub(crate) client: Client,
    pub(crate) keys: Keys,
}

impl QueueReader {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// When the URL cannot be used.
    pub fn new(config: &QueueConfig) -> Result<Self, QueueError> {
        let client = connection::client(config)?;
        let info = client.get_connection_info().clone();
        let connections = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let manager = Manager::new_with_config(info, connections).map_err(QueueError::InvalidUrl)?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .wait_timeout(Some(RESPONSE_TIMEOUT))
            .create_timeout(Some(RESPONSE_TIMEOUT))
            .recycle_timeout(Some(RESPONSE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is given, nothing else can fail");
        Ok(Self { pool, client, keys: Keys::new(&config.key_prefix) })
    }

    /// Where Redis is, as `redis://HOST:PORT/DATABASE`, without credentials.
    pub fn address(&self) -> String {
        connection::address(self.client.get_connection_info())
    }

    /// Every family, in the order of [`Family::ALL`].
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn stats(&self) -> Result<Vec<FamilyStats>, QueueError> {
        let mut connection = self.connection().await?;
        let mut all = Vec::with_capacity(Family::ALL.len());
        for &family in Family::ALL {
            let counts = scripts::stats(&mut connection, &FamilyKeys::new(&self.keys, family)).await?;
            let (undelivered, pending, delayed, dead, oldest_ms, now_ms, came_ms, of, due_ms, due_of) =
                counts;
            let oldest_ms = u64::try_from(oldest_ms).ok();
            let mut overdue_ms = 0;
            for turn in [Turn::of(came_ms, of), Turn::of(due_ms, due_of)].into_iter().flatten() {
                let late = turn.overdue_ms(&mut connection, &self.keys, family, now_ms).await?;
                overdue_ms = overdue_ms.max(late);
            }
            all.push(FamilyStats { family, undelivered, pending, delayed, dead, oldest_ms, overdue_ms });
        }
        Ok(all)
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let mut connection = self.connection().await?;
        let pong: Result<(), _> = redis::cmd("PING").query_async(&mut connection).await;
        pong.map_err(|source| QueueError::Redis { operation: "ping Redis", source })
    }

    pub(crate) async fn connection(&self) -> Result<Connection, QueueError> {
        // Boxed: opening one takes 7 KB, which every task that may do so would keep for as long as it lives.
        Box::pin(self.pool.get()).await.map_err(|error| QueueError::from_pool(error, &self.address()))
    }
}
