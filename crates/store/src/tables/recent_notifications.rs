//! Counts and attempts among the newest notifications, at a bounded cost however many there are.

use webhook::{MaybeKnown, NotificationState};

use crate::columns::Record as _;
use crate::error::StoreError;
use crate::notification::NotificationAttempt;
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

impl Store {
    /// Counts the `newest` notifications by target and state.
    pub async fn count_newest_notifications(
        &self,
        newest: u32,
    ) -> Result<Vec<(String, MaybeKnown<NotificationState>, u64)>, StoreError> {
        let count = "SELECT target, state, count(*) AS notifications FROM \
                     (SELECT target, state FROM notifications ORDER BY created_at DESC LIMIT $1) AS newest \
                     GROUP BY target, state ORDER BY target, state";
        let counted =
            |row: &Row| Ok((row.get("target")?, row.maybe_known("state")?, row.count("notifications")?));
        self.database.read("count the newest notifications", count, &[newest.into()], counted).await
    }

    /// The last attempt of each target among those for the `newest` notifications.
    pub async fn last_attempts(&self, newest: u32) -> Result<Vec<(String, NotificationAttempt)>, StoreError> {
        let select = "SELECT * FROM (SELECT newest.target, attempts.*, row_number() OVER \
                      (PARTITION BY newest.target ORDER BY attempts.started_at DESC, attempts.attempt DESC) AS nth \
                      FROM (SELECT project, id, target FROM notifications ORDER BY created_at DESC LIMIT $1) AS newest \
                      JOIN notification_attempts AS attempts \
                      ON attempts.project = newest.project AND attempts.notification_id = newest.id) AS numbered \
                      WHERE nth = 1 ORDER BY target";
        let attempt = |row: &Row| Ok((row.get("target")?, NotificationAttempt::read(row)?));
        self.database.read("read the last attempts", select, &[newest.into()], attempt).await
    }

    /// The last attempt for a notification that still waits for this target. The waiting ones of a failing target may be
    /// older than any number of newer notifications.
    pub async fn last_attempt_of_waiting(
        &self,
        target: &str,
    ) -> Result<Option<NotificationAttempt>, StoreError> {
        // Those that were tried are due last, because each waits after its attempt.
        let select = "SELECT attempts.* FROM (SELECT project, id FROM notifications WHERE state = 'pending' \
                      AND target = $1 AND attempts > 0 ORDER BY urgent DESC, next_attempt_at DESC LIMIT 10) AS waiting \
                      JOIN notification_attempts AS attempts \
                      ON attempts.project = waiting.project AND attempts.notification_id = waiting.id \
                      ORDER BY attempts.started_at DESC LIMIT 1";
        let doing = "read the last attempt of a target";
        let values = [Value::text(target)];
        let read = self.database.read(doing, select, &values, NotificationAttempt::read).await?;
        Ok(read.into_iter().next())
    }
}
