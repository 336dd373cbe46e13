//! The table `notifications` as people and workers read it, and what writes it beside the loop that sends
//! (`notification_leases.rs`).

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use webhook::{MaybeKnown, NotificationState};

use super::upsert::insert;
use crate::columns::{Kind, Record as _};
use crate::database::{Database, WriteTransaction};
use crate::notification::{NewNotification, NotificationAttempt, NotificationFilter, NotificationRecord};
use crate::row::Row;
use crate::schema::NOTIFICATIONS;
use crate::value::Value;

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns =
        [NewNotification::COLUMNS, &[("state", Kind::Text), ("next_attempt_at", Kind::Time)]].concat();
    insert(&NOTIFICATIONS, &columns) + " ON CONFLICT (project, id) DO NOTHING"
});

/// As part of the transaction that stores what is told of. What was told before is not told again.
pub(super) async fn add_in(
    transaction: &mut WriteTransaction,
    notifications: &[NewNotification],
) -> sqlx::Result<()> {
    for new in notifications {
        let mut values = new.values();
        values.extend([Value::member(NotificationState::Pending), Value::time(new.created_at)]);
        transaction.execute(INSERT.as_str(), &values).await?;
    }
    Ok(())
}

pub(crate) async fn add(database: &Database, notifications: &[NewNotification]) -> sqlx::Result<()> {
    if notifications.is_empty() {
        return Ok(());
    }
    let mut transaction = database.begin().await?;
    add_in(&mut transaction, notifications).await?;
    transaction.commit().await
}

/// Its schedule begins anew, now. `None`: there is no such notification.
pub(crate) async fn retry(
    database: &Database,
    id: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<NotificationRecord>> {
    let mut transaction = database.begin().await?;
    let rows = transaction
        .fetch_all(
            "UPDATE notifications SET state = 'pending', next_attempt_at = $1, attempts_before = attempts, \
             delivered_at = NULL WHERE id = $2 RETURNING *",
            &[Value::time(now), Value::text(id)],
        )
        .await?;
    transaction.commit().await?;
    rows.first().map(record).transpose()
}

pub(crate) async fn list(
    database: &Database,
    filter: &NotificationFilter,
) -> sqlx::Result<Vec<NotificationRecord>> {
    let rows = database
        .fetch_all(
            "SELECT * FROM notifications WHERE ($1 IS NULL OR target = $1) AND ($2 IS NULL OR state = $2) \
             AND ($3 IS NULL OR type = $3) AND ($4 IS NULL OR created_at >= $4) \
             ORDER BY created_at DESC, id DESC LIMIT $5",
            &[
                Value::text_if_any(filter.target.as_deref()),
                Value::text_if_any(filter.state.map(NotificationState::as_str)),
                Value::text_if_any(filter.kind.map(|kind| kind.as_str())),
                Value::time_if_any(filter.since),
                filter.limit.into(),
            ],
        )
        .await?;
    rows.iter().map(record).collect()
}

pub(crate) async fn named(database: &Database, id: &str) -> sqlx::Result<Vec<NotificationRecord>> {
    let select = "SELECT * FROM notifications WHERE id = $1 ORDER BY project";
    database.fetch_all(select, &[Value::text(id)]).await?.iter().map(record).collect()
}

pub(crate) async fn attempts(
    database: &Database,
    project: &str,
    id: &str,
) -> sqlx::Result<Vec<NotificationAttempt>> {
    let select =
        "SELECT * FROM notification_attempts WHERE project = $1 AND notification_id = $2 ORDER BY attempt";
    let rows = database.fetch_all(select, &[Value::text(project), Value::text(id)]).await?;
    rows.iter().map(NotificationAttempt::read).collect()
}

/// How many there are of each target and state.
pub(crate) async fn count(
    database: &Database,
) -> sqlx::Result<Vec<(String, MaybeKnown<NotificationState>, u64)>> {
    let count = "SELECT target, state, count(*) AS notifications FROM notifications \
                 GROUP BY target, state ORDER BY target, state";
    let rows = database.fetch_all(count, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.get("target")?, row.maybe_known("state")?, row.count("notifications")?)))
        .collect()
}

pub(crate) async fn pending(database: &Database) -> sqlx::Result<Vec<(String, u64)>> {
    let count = "SELECT target, count(*) AS notifications FROM notifications WHERE state = 'pending' \
                 GROUP BY target ORDER BY target";
    let rows = database.fetch_all(count, &[]).await?;
    rows.iter().map(|row| Ok((row.get("target")?, row.count("notifications")?))).collect()
}

pub(super) fn record(row: &Row) -> sqlx::Result<NotificationRecord> {
    Ok(NotificationRecord {
        notification: NewNotification::read(row)?,
        state: row.maybe_known("state")?,
        attempts: row.count("attempts")?,
        attempts_before: row.count("attempts_before")?,
        next_attempt_at: row.time("next_attempt_at")?,
        lease_until: row.time("lease_until")?,
        delivered_at: row.time("delivered_at")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
    })
}
