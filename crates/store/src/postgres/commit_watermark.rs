//! The commit watermark of `events`: all events up to it are visible. PostgreSQL numbers rows at insert and shows them
//! at commit, in any order: a follower that trusted the highest number would miss lower numbers that commit later.
//!
//! An inserting transaction locks the table before it draws a number, and holds the lock until it has committed. So
//! read the highest visible number, then wait until every transaction that held the lock at that time has ended. This
//! does not slow down writers.

use std::time::{Duration, Instant};

use sqlx::{Row as _, raw_sql};

use crate::event::EventSeq;
use crate::postgres::pool::Postgres;

const POLL_EVERY_MIN: Duration = Duration::from_millis(2);
const POLL_EVERY_MAX: Duration = Duration::from_millis(100);
/// Our own transactions end far sooner, or the server terminates them.
const WAIT_MAX: Duration = Duration::from_secs(90);

const NEWEST: &str = "SELECT coalesce(max(place), 0) FROM events";
/// Transactions that write the table. Read-only transactions take another lock.
const WRITERS: &str = "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' \
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
    AND relation = 'events'::regclass AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()";

impl Postgres {
    pub(crate) async fn commit_watermark(&self) -> sqlx::Result<EventSeq> {
        let started = Instant::now();
        let seq = EventSeq(raw_sql(NEWEST).fetch_one(self.pool()).await?.try_get(0)?);
        let mut waited_for = self.writers().await?;
        let mut pause = POLL_EVERY_MIN;
        while !waited_for.is_empty() {
            if started.elapsed() > WAIT_MAX {
                return Err(sqlx::Error::Protocol(format!(
                    "a transaction that writes the table events has been open for {WAIT_MAX:?}: find it in pg_stat_activity"
                )));
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(POLL_EVERY_MAX);
            let writers = self.writers().await?;
            waited_for.retain(|writer| writers.contains(writer));
        }
        Ok(seq)
    }

    /// Ids of virtual transactions are not reused.
    async fn writers(&self) -> sqlx::Result<Vec<String>> {
        let rows = raw_sql(WRITERS).fetch_all(self.pool()).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}
