//! The table `event_attempts`: written in the transaction that updates the event's row, which is locked by then.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use webhook::Reason;

use super::upsert::insert;
use crate::columns::Record as _;
use crate::database::{Database, WriteTransaction};
use crate::event_attempt::{Attempt, AttemptOutcome, AttemptRecord};
use crate::schema::EVENT_ATTEMPTS;
use crate::value::Value;

/// Of a long series of attempts, its beginning and its end are kept.
const FIRST_KEPT: i64 = 10;
const LAST_KEPT: i64 = 50;

/// How an attempt ended.
pub(super) struct Ended<'a> {
    pub(super) project: &'a str,
    pub(super) webhook_id: &'a str,
    /// The queue's number of the attempt, which starts at 1 again with every replay.
    pub(super) attempts: u32,
    pub(super) outcome: AttemptOutcome,
    pub(super) reason: Option<Reason>,
}

static INSERT: LazyLock<String> = LazyLock::new(|| insert(&EVENT_ATTEMPTS, &EVENT_ATTEMPTS.columns()));

pub(super) async fn add_in(
    transaction: &mut WriteTransaction,
    ended: &Ended<'_>,
    attempt: &Attempt,
) -> sqlx::Result<()> {
    let [project, webhook_id] = [Value::text(ended.project), Value::key(ended.webhook_id)];
    let newest = "SELECT coalesce(max(attempt), 0) AS newest FROM event_attempts \
                  WHERE project = $1 AND webhook_id = $2";
    let found = transaction.fetch_one(newest, &[project.clone(), webhook_id.clone()]).await?;
    let number = (found.get::<i64>("newest")? + 1).max(ended.attempts.into());
    let record = AttemptRecord {
        attempt: number,
        worker: attempt.worker.clone(),
        started_at: attempt.started_at,
        duration_ms: i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX),
        outcome: ended.outcome.into(),
        reason: ended.reason.map(Into::into),
        http_status: attempt.http_status.map(Into::into),
        request_id: attempt.request_id.clone(),
    };
    let mut values = vec![project.clone(), webhook_id.clone()];
    values.extend(record.values());
    transaction.execute(INSERT.as_str(), &values).await?;
    if number <= FIRST_KEPT + LAST_KEPT {
        return Ok(());
    }
    transaction
        .execute(
            // The first one since the event was received or replayed stays: the time to give it up counts from it.
            "DELETE FROM event_attempts WHERE project = $1 AND webhook_id = $2 AND attempt > $3 AND attempt <= $4 \
             AND attempt <> (SELECT min(attempt) FROM event_attempts \
                 WHERE project = $1 AND webhook_id = $2 AND started_at >= $5)",
            &[
                project,
                webhook_id,
                FIRST_KEPT.into(),
                (number - LAST_KEPT).into(),
                Value::time(attempt.received_at),
            ],
        )
        .await
        .map(drop)
}

/// When the first attempt began that is known since then.
pub(crate) async fn first_at(
    database: &Database,
    project: &str,
    webhook_id: &str,
    since: DateTime<Utc>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let select = "SELECT min(started_at) AS first_at FROM event_attempts \
                  WHERE project = $1 AND webhook_id = $2 AND started_at >= $3";
    let values = [Value::text(project), Value::key(webhook_id), Value::time(since)];
    database.fetch_one(select, &values).await?.time("first_at")
}

/// In their order.
pub(crate) async fn list(
    database: &Database,
    project: &str,
    webhook_id: &str,
) -> sqlx::Result<Vec<AttemptRecord>> {
    let select = "SELECT * FROM event_attempts WHERE project = $1 AND webhook_id = $2 ORDER BY attempt";
    let rows = database.fetch_all(select, &[Value::text(project), Value::key(webhook_id)]).await?;
    rows.iter().map(AttemptRecord::read).collect()
}
