//! Retention of the table `events`: old events with everything that is deleted together with them.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use webhook::EventState;

use super::prune_objects::{PRUNE, ROWS_PER_STEP};
use crate::database::{Database, WriteTransaction};
use crate::error::StoreError;
use crate::prune::{Pruned, Retention};
use crate::row::Row;
use crate::value::Value;

/// The states of events that can be deleted.
pub(super) const STATES: [EventState; 2] = [EventState::Stored, EventState::Dead];

/// What one transaction deleted.
pub(super) struct Step {
    pub(super) pruned: Pruned,
    /// When the last of these events was received. Older ones that still exist are in use.
    pub(super) last_received_at: Option<DateTime<Utc>>,
}

/// Whether no notification of the event is pending.
const ALL_NOTIFIED: &str = "NOT EXISTS (SELECT 1 FROM notifications \
     WHERE notifications.project = events.project AND notifications.webhook_id = events.webhook_id \
     AND notifications.state = 'pending')";

/// Settled events without pending notifications, except the newest event of all: SQLite would reuse its `place` for the
/// next event, and followers would miss that one.
static OLD_EVENTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "events.family = $1 AND events.received_at < $2 \
         AND events.place < (SELECT max(place) FROM events) AND {ALL_NOTIFIED}"
    )
});

/// Counts old events and their notifications.
pub(super) async fn count(database: &Database, retention: &Retention) -> Result<(u64, u64), StoreError> {
    let values = [Value::member(retention.family), Value::time(retention.before)];
    let settled = format!("{} AND events.state IN ('stored', 'dead')", *OLD_EVENTS);
    let events = format!("SELECT count(*) AS events FROM events WHERE {settled}");
    let notifications = format!(
        "SELECT count(*) AS notifications FROM notifications WHERE (project, webhook_id) IN \
         (SELECT project, webhook_id FROM events WHERE {settled})"
    );
    let count = |row: &Row| row.count("events");
    let events = database.read_one(PRUNE, AssertSqlSafe(events), &values, count).await?;
    let count = |row: &Row| row.count("notifications");
    Ok((events, database.read_one(PRUNE, AssertSqlSafe(notifications), &values, count).await?))
}

/// Deletes some old events in this state, received at `from` or later, with their attempts and notifications. `None` if
/// none are left.
pub(super) async fn delete(
    transaction: &mut WriteTransaction,
    retention: &Retention,
    state: EventState,
    from: Option<DateTime<Utc>>,
) -> sqlx::Result<Option<Step>> {
    // With CROSS JOIN, SQLite reads the tables in this order.
    let page = format!(
        "SELECT place, received_at, 1 \
         + (SELECT count(*) FROM event_attempts WHERE event_attempts.project = events.project \
            AND event_attempts.webhook_id = events.webhook_id) \
         + (SELECT count(*) FROM notifications WHERE notifications.project = events.project \
            AND notifications.webhook_id = events.webhook_id) \
         + (SELECT count(*) FROM notifications CROSS JOIN notification_attempts \
            WHERE notifications.project = events.project AND notifications.webhook_id = events.webhook_id \
            AND notification_attempts.project = notifications.project AND notification_id = id) \
         AS row_count FROM events WHERE {} AND events.state = $3 AND events.received_at >= $4 \
         ORDER BY received_at, place LIMIT {ROWS_PER_STEP}",
        *OLD_EVENTS
    );
    let from = Value::time(from.unwrap_or(DateTime::UNIX_EPOCH));
    let values = [Value::member(retention.family), Value::time(retention.before), Value::member(state), from];
    let rows = transaction.fetch_all(AssertSqlSafe(page), &values).await?;
    let (mut places, mut row_count, mut last_received_at) = (Vec::new(), 0, None);
    for row in &rows {
        row_count += row.get::<i64>("row_count")?;
        // A single event goes in one step, however many rows it has.
        if row_count > ROWS_PER_STEP && !places.is_empty() {
            break;
        }
        places.push(row.get::<i64>("place")?.to_string());
        last_received_at = row.time("received_at")?;
    }
    if places.is_empty() {
        return Ok(None);
    }
    // Numbers, not parameters: PostgreSQL accepts one array, SQLite does not.
    let chosen = format!("place IN ({})", places.join(", "));
    let delete = format!(
        "DELETE FROM notifications WHERE state <> 'pending' \
         AND (project, webhook_id) IN (SELECT project, webhook_id FROM events WHERE {chosen})"
    );
    let notifications = transaction.execute(AssertSqlSafe(delete), &[]).await?;
    // What may have changed since the page was read. With the family and the time as well, SQLite would read all old
    // events instead of the chosen ones.
    let delete = format!(
        "DELETE FROM events WHERE {chosen} AND {ALL_NOTIFIED} AND events.state IN ('stored', 'dead')"
    );
    let events = transaction.execute(AssertSqlSafe(delete), &[]).await?;
    let pruned = Pruned { events, notifications, ..Pruned::default() };
    Ok((events > 0).then_some(Step { pruned, last_received_at }))
}
