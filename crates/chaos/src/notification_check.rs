//! The findings on what was receipts: everything stored, at least once, with one id and the same bytes; nothing else.

use std::collections::{HashMap, HashSet};

use sqlx::sqlite::SqlitePool;

use crate::event_plan::Effect;
use crate::target::{Receipts, wait_secs};

/// Latencies are noted in whole milliseconds, and SQLite's days are as exact.
const CLOCK_SECS: f64 = 0.002;

/// What is wrong with what was receipts, and how much there was.
#[derive(Debug, Default)]
pub(crate) struct NotificationCheck {
    /// Notifications that the target accepted for.
    pub(crate) delivered: usize,
    /// Requests beyond the first of each.
    pub(crate) repeated: u32,
    /// Stored or dead, and the target was never receipts, or never to the end.
    pub(crate) missing: Vec<String>,
    /// Receipt of what is not stored, twice under different ids, with other bytes, or before its time.
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
                        check.wrong.push(format!("{id} was receipts with other bytes than stored"));
                    }
                }
                one => {
                    let times = one.map_or((0, 0), |one| (one.times, one.accepted));
                    check
                        .missing
                        .push(format!("{id} is {state}; it came {} times, accepted {}", times.0, times.1));
                }
            }
            if !matches!(event_state.as_str(), "stored" | "dead") {
                check.wrong.push(format!("{id} tells of {webhook_id}, which is {event_state}"));
            }
            if !events.insert(webhook_id.clone()) {
                check.wrong.push(format!("{webhook_id} is receipts of under two ids"));
            }
            ids.insert(id);
        }
        let is_told_of = |effect: &Effect| *effect != Effect::EventOnly;
        let silent =
            expected.iter().filter(|(id, effect)| is_told_of(effect) && !events.contains(id.as_str()));
        check.missing.extend(silent.map(|(id, _)| format!("nobody is receipts of {id}")));
        let invented = receipts.keys().filter(|id| !ids.contains(*id));
        check.wrong.extend(invented.map(|id| format!("{id} was receipts, but no row has it")));
        check.wrong.extend(too_early(database).await?);
        Ok(check)
    }
}

/// Attempts that came before their time: each failure is followed by its wait, whoever noted it and whoever tries next,
/// unless the target had been left alone for its failures and was back.
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
