//! The table `notifications`: reads, and writes outside the sending loop (`notification_leases.rs`).

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use webhook::{MaybeKnown, NotificationState, NotificationType, Reason};

use super::projects;
use super::upsert::ManyRows;
use crate::columns::{Kind, Record as _};
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::notification::{NewNotification, NotificationAttempt, NotificationFilter, NotificationRecord};
use crate::row::Row;
use crate::schema::NOTIFICATIONS;
use crate::store::Store;
use crate::value::Value;

const COUNT: &str = "count notifications";

static INSERT: LazyLock<ManyRows> = LazyLock::new(|| {
    let columns =
        [NewNotification::COLUMNS, &[("state", Kind::Text), ("next_attempt_at", Kind::Time)]].concat();
    ManyRows::new(&NOTIFICATIONS, &columns, " ON CONFLICT (project, id) DO NOTHING")
});

/// Writes notifications in the transaction that stores their result. Existing notifications are not written again.
pub(super) async fn add_in(
    transaction: &mut WriteTransaction,
    notifications: impl IntoIterator<Item = &NewNotification>,
) -> sqlx::Result<()> {
    let values = notifications.into_iter().flat_map(|new| {
        let mut values = new.values();
        values.extend([Value::member(NotificationState::Pending), Value::time(new.created_at)]);
        values
    });
    INSERT.write(transaction, &values.collect::<Vec<_>>()).await
}

/// Notifications. Most are written by the calls that store their results.
impl Store {
    /// Writes notifications that have no event row.
    pub async fn add_notifications(&self, new: &[NewNotification]) -> Result<(), StoreError> {
        if new.is_empty() {
            return Ok(());
        }
        let steps = async |transaction: &mut WriteTransaction| add_in(transaction, new).await;
        self.database.write("write notifications", steps).await
    }

    /// Restarts a notification's retry schedule, delivered or not, without a time to live; `None` if no notification has
    /// this id.
    pub async fn retry_notification(
        &self,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<NotificationRecord>, StoreError> {
        let update = format!(
            "UPDATE notifications SET state = 'pending', next_attempt_at = $1, attempts_before = attempts, \
             delivered_at = NULL, expires_at = NULL, reason = NULL WHERE {} AND id = $2 RETURNING *",
            projects::in_any("notifications")
        );
        let values = [Value::time(now), Value::text(id)];
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.fetch_all(AssertSqlSafe(update), &values).await?.first().map(record).transpose()
        };
        self.database.write("retry a notification", steps).await
    }

    /// Lists notifications, newest first.
    pub async fn list_notifications(
        &self,
        filter: &NotificationFilter,
    ) -> Result<Vec<NotificationRecord>, StoreError> {
        let select = "SELECT * FROM notifications WHERE ($1 IS NULL OR target = $1) AND ($2 IS NULL OR state = $2) \
                      AND ($3 IS NULL OR type = $3) AND ($4 IS NULL OR created_at >= $4) \
                      AND ($5 IS NULL OR reason IS NULL OR reason <> $5) \
                      AND ($6 IS NULL OR created_at <= $6) AND ($7 IS NULL OR (created_at, id) < ($6, $7)) \
                      ORDER BY created_at DESC, id DESC LIMIT $8";
        let values = [
            Value::opt_text(filter.target.as_deref()),
            Value::opt_text(filter.state.map(NotificationState::as_str)),
            Value::opt_text(filter.kind.map(NotificationType::as_str)),
            Value::opt_time(filter.since),
            Value::opt_text(filter.except.map(Reason::as_str)),
            Value::opt_time(filter.after.as_ref().map(|after| after.at)),
            Value::opt_text(filter.after.as_ref().map(|after| after.id.as_str())),
            filter.limit.into(),
        ];
        self.database.read("list notifications", select, &values, record).await
    }

    /// The notifications that were written for one event.
    pub async fn notifications_of_webhook(
        &self,
        project: &str,
        webhook_id: &str,
    ) -> Result<Vec<NotificationRecord>, StoreError> {
        let select =
            "SELECT * FROM notifications WHERE project = $1 AND webhook_id = $2 ORDER BY created_at, id";
        let values = [Value::text(project), Value::key(webhook_id)];
        self.database.read("read the notifications of an event", select, &values, record).await
    }

    /// Notifications with this id: at most one per project.
    pub async fn notifications_named(&self, id: &str) -> Result<Vec<NotificationRecord>, StoreError> {
        let in_any_project = projects::in_any("notifications");
        let select =
            format!("SELECT * FROM notifications WHERE {in_any_project} AND id = $1 ORDER BY project");
        self.database.read("read a notification", AssertSqlSafe(select), &[Value::text(id)], record).await
    }

    /// A notification's attempts so far.
    pub async fn notification_attempts(
        &self,
        project: &str,
        id: &str,
    ) -> Result<Vec<NotificationAttempt>, StoreError> {
        let select = "SELECT * FROM notification_attempts WHERE project = $1 AND notification_id = $2 ORDER BY attempt";
        let values = [Value::text(project), Value::text(id)];
        let doing = "read a notification's attempts";
        self.database.read(doing, select, &values, NotificationAttempt::read).await
    }

    /// Counts notifications by target and state.
    pub async fn count_notifications(
        &self,
    ) -> Result<Vec<(String, MaybeKnown<NotificationState>, u64)>, StoreError> {
        let count = "SELECT target, state, count(*) AS notifications FROM notifications \
                     GROUP BY target, state ORDER BY target, state";
        let counted =
            |row: &Row| Ok((row.get("target")?, row.maybe_known("state")?, row.count("notifications")?));
        self.database.read(COUNT, count, &[], counted).await
    }

    /// Counts undelivered notifications by target.
    pub async fn pending_notifications(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let count = "SELECT target, count(*) AS notifications FROM notifications WHERE state = 'pending' \
                     GROUP BY target ORDER BY target";
        let counted = |row: &Row| Ok((row.get("target")?, row.count("notifications")?));
        self.database.read(COUNT, count, &[], counted).await
    }
}

pub(super) fn record(row: &Row) -> sqlx::Result<NotificationRecord> {
    Ok(NotificationRecord {
        notification: NewNotification::read(row)?,
        state: row.maybe_known("state")?,
        reason: row.parsed("reason")?,
        attempts: row.count("attempts")?,
        attempts_before: row.count("attempts_before")?,
        next_attempt_at: row.time("next_attempt_at")?,
        lease_until: row.time("lease_until")?,
        delivered_at: row.time("delivered_at")?,
        last_status: row.get("last_status")?,
        last_error: row.get("last_error")?,
    })
}
