//! Triggers that record database changes: each transition of an event to `stored`, and each change or deletion of a stored
//! row, so that an effect applied twice is visible even if the rows are equal in the end. They also record notifications
//! that became due early because the breaker of their target closed.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

const MIGRATED_WITHIN: Duration = Duration::from_secs(60);
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

const TRIGGERS: [&str; 8] = [
    "CREATE TABLE chaos_stored (webhook_id TEXT NOT NULL)",
    "CREATE TABLE chaos_undone (what TEXT NOT NULL)",
    "CREATE TABLE chaos_made_due (id TEXT NOT NULL, attempts INTEGER NOT NULL)",
    "CREATE TRIGGER chaos_event_stored AFTER UPDATE OF state ON events
     WHEN NEW.state = 'stored' AND OLD.state <> 'stored'
     BEGIN INSERT INTO chaos_stored VALUES (NEW.webhook_id); END",
    "CREATE TRIGGER chaos_event_unstored AFTER UPDATE OF state ON events
     WHEN OLD.state = 'stored' AND NEW.state <> 'stored'
     BEGIN INSERT INTO chaos_undone VALUES ('event ' || OLD.webhook_id); END",
    "CREATE TRIGGER chaos_result_deleted AFTER DELETE ON batch_results
     BEGIN INSERT INTO chaos_undone VALUES ('line of ' || OLD.batch_id); END",
    "CREATE TRIGGER chaos_result_changed AFTER UPDATE ON batch_results
     BEGIN INSERT INTO chaos_undone VALUES ('line of ' || OLD.batch_id); END",
    "CREATE TRIGGER chaos_notification_made_due AFTER UPDATE OF next_attempt_at ON notifications
     WHEN NEW.attempts = OLD.attempts AND NEW.next_attempt_at < OLD.next_attempt_at
     BEGIN INSERT INTO chaos_made_due VALUES (NEW.id, NEW.attempts); END",
];

/// Waits until a worker has created the tables, and installs the triggers.
pub(crate) async fn watch(database: &Path) -> anyhow::Result<SqlitePool> {
    let started = Instant::now();
    loop {
        match install(database).await {
            Ok(pool) => return Ok(pool),
            Err(error) if started.elapsed() > MIGRATED_WITHIN => {
                return Err(error).context("no worker created the tables in time");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn install(database: &Path) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    let tables = "SELECT count(*) FROM sqlite_master
                  WHERE name IN ('events', 'batch_results', 'files', 'notifications')";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(&pool).await?;
    anyhow::ensure!(tables == 4, "the tables do not exist yet");
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for statement in TRIGGERS {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(pool)
}
