//! Checks the notification targets as workers and the database know them: whether the workers agree on them, and whether
//! each accepts notifications.

use std::collections::{BTreeMap, BTreeSet};

use queue::{Instance, KnownTargets};
use store::{NotificationFilter, Store, StoreError, TargetCondition, TargetHealth};
use webhook::NotificationState;

use super::finding::{Check, Finding};
use crate::quantity;

/// Newest notifications that are searched for the last error of a target.
const RECENT: u32 = 50;

/// The targets that have a row in the database.
pub struct TargetQueues {
    pub findings: Vec<Finding>,
    /// Notifications that wait, by target.
    pub waiting: BTreeMap<String, u64>,
}

/// The live workers that say which targets they know.
pub fn known_to_workers(instances: &[Instance]) -> Vec<(&Instance, &KnownTargets)> {
    let alive = instances.iter().filter(|instance| instance.is_alive());
    alive.filter_map(|instance| Some((instance, instance.info.targets.as_ref()?))).collect()
}

/// A finding if the workers know different targets.
pub fn of_workers(instances: &[Instance]) -> Option<Finding> {
    let workers = known_to_workers(instances);
    let digests: BTreeSet<&str> = workers.iter().map(|(_, targets)| targets.sha256.as_str()).collect();
    if digests.len() <= 1 {
        return None;
    }
    let known = |(worker, targets): &(&Instance, &KnownTargets)| {
        let names = if targets.names.is_empty() { "none".to_owned() } else { targets.names.join(", ") };
        format!("{} has {names}", worker.id)
    };
    let known: Vec<String> = workers.iter().map(known).collect();
    Some(Check::Targets.wrong(
        format!("the workers have different targets: {}", known.join("; ")),
        "give all workers the same landfall.toml (LANDFALL_CONFIG)",
    ))
}

/// The targets that fail, are paused or are disabled, and what waits for each target.
///
/// # Errors
/// When the database cannot be read.
pub async fn of_database(store: &Store) -> Result<TargetQueues, StoreError> {
    let waiting: BTreeMap<String, u64> = store.pending_notifications().await?.into_iter().collect();
    let filter = NotificationFilter {
        state: Some(NotificationState::Pending),
        limit: RECENT,
        ..NotificationFilter::default()
    };
    let health = store.target_health().await?;
    let recent = store.list_notifications(&filter).await?;
    let finding = |target: &TargetHealth| {
        let waits = waiting.get(&target.target).copied().unwrap_or(0);
        let failed = recent.iter().filter(|failed| failed.notification.target == target.target);
        of_health(target, waits, failed.filter_map(|failed| failed.last_error.as_deref()).next())
    };
    Ok(TargetQueues { findings: health.iter().filter_map(finding).collect(), waiting })
}

/// `12 notifications are waiting`
pub fn waiting(notifications: u64) -> String {
    match notifications {
        1 => "1 notification is waiting".to_owned(),
        several => format!("{} notifications are waiting", quantity::count(several)),
    }
}

fn of_health(health: &TargetHealth, waits: u64, error: Option<&str>) -> Option<Finding> {
    let name = &health.target;
    let waiting = waiting(waits);
    match health.condition() {
        TargetCondition::Active => None,
        TargetCondition::Disabled => Some(Check::Targets.wrong(
            format!("target {name} is disabled because it returned 410 Gone; {waiting}"),
            format!("to enable it again: landfall targets resume {name}"),
        )),
        TargetCondition::Paused => Some(Check::Targets.warning(
            format!("target {name} was paused by an operator; {waiting}"),
            format!("to resume it: landfall targets resume {name}"),
        )),
        TargetCondition::Failing => {
            let error = error.map(|error| format!(": {error}")).unwrap_or_default();
            let failed = match health.failures_in_row {
                1 => "failed once".to_owned(),
                failures => format!("failed {failures} times in a row"),
            };
            let what = format!("target {name} {failed}, {waiting}{error}");
            let hint = format!("fix it, then run landfall targets test {name}");
            Some(if waits > 0 {
                Check::Targets.wrong(what, &hint)
            } else {
                Check::Targets.warning(what, &hint)
            })
        }
    }
}
