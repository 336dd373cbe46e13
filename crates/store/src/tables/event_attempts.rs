//! The table `event_attempts`, written in the transaction that updates and locks the event's row.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use webhook::Reason;

use super::upsert::insert;
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event_attempt::{Attempt, AttemptOutcome, AttemptRecord};
use crate::schema::EVENT_ATTEMPTS;
use crate::store::Store;
use crate::value::Value;

/// Only the first and the last attempts of a long series are kept.
const FIRST_KEPT: i64 = 10;
const LAST_KEPT: i64 = 50;

const READ_ATTEMPTS: &str = "read an event's attempts";

/// How an attempt ended.
pub(super) struct Ended<'a> {
    pub(super) project: &'a str,
    pub(super) webhook_id: &'a str,
    /// The queue's attempt number, which restarts at 1 with every replay.
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
            // Keep the first attempt since the event was received or replayed: the retry deadline counts from it.
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

impl Store {
    /// When the first known attempt at an event since `since` began; `None` if there was none.
    pub async fn first_attempt_at(
        &self,
        project: &str,
        webhook_id: &str,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let select = "SELECT min(started_at) AS first_at FROM event_attempts \
                      WHERE project = $1 AND webhook_id = $2 AND started_at >= $3";
        let values = [Value::text(project), Value::key(webhook_id), Value::time(since)];
        self.database.read_one(READ_ATTEMPTS, select, &values, |row| row.time("first_at")).await
    }

    /// The attempts at an event: the first 10 and the last 50. Empty for an event that was stored by its first attempt.
    pub async fn event_attempts(
        &self,
        project: &str,
        webhook_id: &str,
    ) -> Result<Vec<AttemptRecord>, StoreError> {
        let select = "SELECT * FROM event_attempts WHERE project = $1 AND webhook_id = $2 ORDER BY attempt";
        let values = [Value::text(project), Value::key(webhook_id)];
        self.database.read(READ_ATTEMPTS, select, &values, AttemptRecord::read).await
    }
}
