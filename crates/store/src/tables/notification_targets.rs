//! The table `notification_targets`: the health state of targets, shared by all workers.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};

use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::schema::NOTIFICATION_TARGETS;
use crate::store::Store;
use crate::target_health::{TargetHealth, TargetState};
use crate::value::Value;

/// Reads a target's state and locks it until the transaction ends, so that each worker sees what the others have
/// leased. A target without a row is new.
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

impl Store {
    /// All targets with a recorded state.
    pub async fn target_health(&self) -> Result<Vec<TargetHealth>, StoreError> {
        let select = "SELECT * FROM notification_targets ORDER BY target";
        self.database.read("read the state of targets", select, &[], TargetHealth::read).await
    }

    /// Pauses a target, or resumes it with a clean state. Returns the previous state.
    pub async fn set_target_state(
        &self,
        target: &str,
        state: TargetState,
        now: DateTime<Utc>,
    ) -> Result<TargetHealth, StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            let before = lock_in(transaction, target).await?;
            let (state, rate_limited_until, updated_at) =
                (state.into(), before.rate_limited_until, Some(now));
            let after = TargetHealth { state, rate_limited_until, updated_at, ..TargetHealth::new(target) };
            write_in(transaction, &after).await?;
            Ok(before)
        };
        self.database.write("set the state of a target", steps).await
    }
}
