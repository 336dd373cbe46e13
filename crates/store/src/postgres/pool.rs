//! The connection pool of one PostgreSQL database, and its session settings. Statements are named on a direct
//! connection, and unnamed behind a pooler that gives each transaction another server connection.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, Transaction, raw_sql};

use crate::postgres::migrate;
use crate::read_limits::ReadLimits;

/// Per process. Transactions are short, so a few connections are enough; PostgreSQL allows 100 in total by default.
const CONNECTIONS_MAX: u32 = 10;
/// How long a call waits for a connection; long enough for a server restart.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for a store that only reads: its clients wait.
const READER_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// A vanished worker holds its locks no longer than this, and no writer waits longer for a row. Commits are durable:
/// `synchronous_commit = off` is overridden, a setting that waits for replicas is kept.
const SESSION: &str = "
    SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s';
    SET tcp_keepalives_idle = '30s';
    SET tcp_keepalives_interval = '10s';
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';";
/// The same for one transaction: the next transaction on this server connection may belong to another application.
const BEGIN_THROUGH_POOLER: &str = "
    BEGIN;
    SET LOCAL lock_timeout = '30s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';";
const BEGIN_SNAPSHOT: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL lock_timeout = '30s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';";

/// A PostgreSQL database.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pool: PgPool,
    /// Whether a server connection is ours only within a transaction.
    through_pooler: bool,
    /// What begins a transaction of a store that only reads, behind a pooler.
    begin_read: Option<String>,
}

/// Commits all of its writes or, when dropped, none.
pub(crate) struct WriteTransaction {
    pub(crate) transaction: Transaction<'static, sqlx::Postgres>,
    pub(crate) names_statements: bool,
}

impl Postgres {
    pub(super) fn new(options: PgConnectOptions, through_pooler: bool) -> Self {
        let mut pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT);
        if !through_pooler {
            pool = pool.after_connect(|connection, _| {
                Box::pin(async move { connection.execute(SESSION).await.map(drop) })
            });
        }
        Self { pool: pool.connect_lazy_with(options), through_pooler, begin_read: None }
    }

    /// Reads within these limits: of each connection, or behind a pooler of each transaction.
    pub(super) fn for_reading(options: PgConnectOptions, through_pooler: bool, limits: ReadLimits) -> Self {
        let mut pool = PgPoolOptions::new()
            .max_connections(limits.connections)
            .acquire_timeout(READER_ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT);
        let statement_ms = limits.statement_time.as_millis().max(1);
        let begin_read = through_pooler.then(|| {
            format!(
                "BEGIN READ ONLY; SET LOCAL statement_timeout = {statement_ms}; \
                 SET LOCAL idle_in_transaction_session_timeout = '60s';"
            )
        });
        if !through_pooler {
            // Without a transaction for each read, it takes half the time.
            let session = format!(
                "SET default_transaction_read_only = on; SET statement_timeout = {statement_ms}; \
                 SET idle_in_transaction_session_timeout = '60s';"
            );
            pool = pool.after_connect(move |connection, _| {
                let session = AssertSqlSafe(session.clone());
                Box::pin(async move { connection.execute(session).await.map(drop) })
            });
        }
        Self { pool: pool.connect_lazy_with(options), through_pooler, begin_read }
    }

    /// For statements outside a transaction. Behind a pooler these must be unnamed and without parameters, because a
    /// statement may be prepared on one server connection and run on another.
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Whether each read is a transaction of its own.
    pub(crate) fn reads_in_transactions(&self) -> bool {
        self.through_pooler
    }

    pub(crate) async fn begin(&self) -> sqlx::Result<WriteTransaction> {
        let transaction = if let Some(begin) = &self.begin_read {
            self.pool.begin_with(AssertSqlSafe(begin.clone())).await?
        } else if self.through_pooler {
            self.pool.begin_with(BEGIN_THROUGH_POOLER).await?
        } else {
            self.pool.begin().await?
        };
        Ok(WriteTransaction { transaction, names_statements: !self.through_pooler })
    }

    /// Begins a read transaction that sees one consistent snapshot.
    pub(crate) async fn begin_snapshot(&self) -> sqlx::Result<WriteTransaction> {
        let transaction = self.pool.begin_with(BEGIN_SNAPSHOT).await?;
        Ok(WriteTransaction { transaction, names_statements: !self.through_pooler })
    }

    pub(crate) async fn schema_version(&self) -> sqlx::Result<i64> {
        migrate::schema_version(&mut *self.pool.acquire().await?).await
    }

    /// Fails sooner than other calls, which may wait for the server to restart.
    pub(crate) async fn ping(&self) -> sqlx::Result<()> {
        let ping = raw_sql("SELECT 1 FROM events LIMIT 1").execute(&self.pool);
        let answered = tokio::time::timeout(PING_TIMEOUT, ping).await;
        answered.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(drop)
    }
}
