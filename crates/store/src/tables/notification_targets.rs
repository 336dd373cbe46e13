//! The table `notification_targets`: what all workers know of a target.

use chrono::{DateTime, Utc};

use crate::database::{Database, WriteTransaction};
use crate::row::Row;
use crate::target_health::{TargetHealth, TargetState};
use crate::value::Value;

/// A target without a row is one that nothing is known of. Until the transaction ends nobody else reads it this way, so
/// that each worker sees what the others took.
pub(super) async fn lock_in(transaction: &mut WriteTransaction, target: &str) -> sqlx::Result<TargetHealth> {
    transaction.lock_name("notification_targets", target).await?;
    let select = "SELECT * FROM notification_targets WHERE target = $1";
    let found = transaction.fetch_all(select, &[Value::text(target)]).await?;
    found.first().map_or_else(|| Ok(TargetHealth::new(target)), record)
}

pub(super) async fn write_in(transaction: &mut WriteTransaction, health: &TargetHealth) -> sqlx::Result<()> {
    transaction
        .execute(
            "INSERT INTO notification_targets (target, state, failures_in_row, waits_until, busy_until, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (target) DO UPDATE SET state = excluded.state, \
             failures_in_row = excluded.failures_in_row, waits_until = excluded.waits_until, \
             busy_until = excluded.busy_until, updated_at = excluded.updated_at",
            &[
                Value::text(&health.target),
                Value::text(health.state.as_str()),
                health.failures_in_row.into(),
                Value::time_if_any(health.waits_until),
                Value::time_if_any(health.busy_until),
                Value::time(health.updated_at.unwrap_or_default()),
            ],
        )
        .await
        .map(drop)
}

/// Paused, or as good as new. What it was before.
pub(crate) async fn set_state(
    database: &Database,
    target: &str,
    state: TargetState,
    now: DateTime<Utc>,
) -> sqlx::Result<TargetHealth> {
    let mut transaction = database.begin().await?;
    let before = lock_in(&mut transaction, target).await?;
    let busy_until = before.busy_until;
    let after =
        TargetHealth { state: state.into(), busy_until, updated_at: Some(now), ..TargetHealth::new(target) };
    write_in(&mut transaction, &after).await?;
    transaction.commit().await?;
    Ok(before)
}

pub(crate) async fn list(database: &Database) -> sqlx::Result<Vec<TargetHealth>> {
    let select = "SELECT * FROM notification_targets ORDER BY target";
    database.fetch_all(select, &[]).await?.iter().map(record).collect()
}

fn record(row: &Row) -> sqlx::Result<TargetHealth> {
    Ok(TargetHealth {
        target: row.get("target")?,
        state: row.maybe_known("state")?,
        failures_in_row: row.count("failures_in_row")?,
        waits_until: row.time("waits_until")?,
        busy_until: row.time("busy_until")?,
        updated_at: row.time("updated_at")?,
    })
}
