//! Checks the notifications: every expected one is delivered at least once, with one id and identical bytes, and no others.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqlitePool;

use crate::event_plan::Effect;
use crate::target::{Receipts, wait_secs};

/// Latencies are stored in whole milliseconds, and SQLite's julianday() is about as precise.
const CLOCK_SECS: f64 = 0.002;

/// The delivered notifications, and the errors among them.
#[derive(Debug, Default)]
pub(crate) struct NotificationCheck {
    /// Notifications that the target accepted.
    pub(crate) delivered: usize,
    /// Deliveries after the first one of each notification.
    pub(crate) repeated: u32,
    /// Events that are stored or dead, but whose notification was not accepted.
    pub(crate) missing: Vec<String>,
    /// Notifications about events that are not stored, with several ids, with different bytes, or sent too early.
    pub(crate) wrong: Vec<String>,
}

impl NotificationCheck {
    pub(crate) async fn check(
        expected: &HashMap<String, Effect>,
        receipts: &Receipts,
        database: &SqlitePool,
    ) -> sqlx::Result<Self> {
        let mut check = Self::default();
        let query = "SELECT n.id, n.webhook_id, n.state, n.body, e.state FROM notifications n
                     JOIN events e ON e.webhook_id = n.webhook_id AND e.project = n.project";
        let rows: Vec<(String, String, String, Vec<u8>, String)> =
            sqlx::query_as(query).fetch_all(database).await?;
        let (mut ids, mut events) = (HashSet::new(), HashSet::new());
        for (id, webhook_id, state, body, event_state) in rows {
            match receipts.get(&id) {
                Some(one) if state == "delivered" && one.accepted > 0 => {
                    check.delivered += 1;
                    check.repeated += one.times - 1;
                    if one.changed || one.body != body {
                        check.wrong.push(format!("{id} was sent with other bytes than stored"));
                    }
                }
                one => {
                    let times = one.map_or((0, 0), |one| (one.times, one.accepted));
                    check.missing.push(format!(
                        "{id} is {state}; received {} times, accepted {} times",
                        times.0, times.1
                    ));
                }
            }
            if !matches!(event_state.as_str(), "stored" | "dead") {
                check.wrong.push(format!("{id} is about {webhook_id}, which is {event_state}"));
            }
            if !events.insert(webhook_id.clone()) {
                check.wrong.push(format!("{webhook_id} has notifications with two ids"));
            }
            ids.insert(id);
        }
        let needs_notification = |effect: &Effect| *effect != Effect::EventOnly;
        let absent = expected
            .iter()
            .filter(|(id, effect)| needs_notification(effect) && !events.contains(id.as_str()));
        check.missing.extend(absent.map(|(id, _)| format!("{id} has no notification")));
        let unknown = receipts.keys().filter(|id| !ids.contains(*id));
        check.wrong.extend(unknown.map(|id| format!("{id} was received, but has no row")));
        check.wrong.extend(too_early(database).await?);
        Ok(check)
    }
}

/// Attempts that were too early: each failure is followed by its wait, whichever worker makes the next attempt, unless the
/// breaker of the target was open and has closed.
async fn too_early(database: &SqlitePool) -> sqlx::Result<Vec<String>> {
    let query = "SELECT id, failed, waited_secs FROM (
                     SELECT notification_id AS id, attempt - 1 AS failed,
                            86400 * (julianday(started_at) - lag(julianday(started_at)) OVER attempts)
                                - lag(latency_ms) OVER attempts / 1000.0 AS waited_secs
                     FROM notification_attempts
                     WINDOW attempts AS (PARTITION BY project, notification_id ORDER BY attempt)) AS early
                 WHERE waited_secs IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM chaos_made_due AS due WHERE due.id = early.id AND due.attempts = failed)";
    let rows: Vec<(String, i64, f64)> = sqlx::query_as(query).fetch_all(database).await?;
    let is_early = |failed: i64, waited_secs: f64| {
        waited_secs + CLOCK_SECS < wait_secs(usize::try_from(failed).unwrap_or_default())
    };
    let early = rows.into_iter().filter(|(_, failed, waited_secs)| is_early(*failed, *waited_secs));
    Ok(early
        .map(|(id, failed, waited_secs)| format!("{id} waited {waited_secs:.3} s after failure {failed}"))
        .collect())
}
