//! The table `notification_targets`: what all workers know of a target.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};

use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::{Database, WriteTransaction};
use crate::schema::NOTIFICATION_TARGETS;
use crate::target_health::{TargetHealth, TargetState};
use crate::value::Value;

/// A target without a row is one that nothing is known of. Until the transaction ends nobody else reads it this way, so
/// that each worker sees what the others took.
pub(super) async fn lock_in(transaction: &mut WriteTransaction, target: &str) -> sqlx::Result<TargetHealth> {
    transaction.lock_name("notification_targets", target).await?;
    let select = "SELECT * FROM notification_targets WHERE target = $1";
    let found = transaction.fetch_all(select, &[Value::text(target)]).await?;
    found.first().map_or_else(|| Ok(TargetHealth::new(target)), TargetHealth::read)
}

static UPSERT: LazyLock<String> =
    LazyLock::new(|| upsert(&NOTIFICATION_TARGETS, TargetHealth::COLUMNS, Existing::Replace));

pub(super) async fn write_in(transaction: &mut WriteTransaction, health: &TargetHealth) -> sqlx::Result<()> {
    transaction.execute(UPSERT.as_str(), &health.values()).await.map(drop)
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
    database.fetch_all(select, &[]).await?.iter().map(TargetHealth::read).collect()
}
