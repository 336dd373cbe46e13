//! Notification targets: those in `landfall.toml` and those in the database, with their states and counts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use notifier::{Config, Target};
use serde::Serialize;
use store::{Store, StoreError, TargetCondition, TargetHealth, TargetState};
use webhook::{MaybeKnown, NotificationState};

/// Notifications by target and state.
pub type Counts = Vec<(String, MaybeKnown<NotificationState>, u64)>;

/// A target, as `landfall targets list --json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct TargetStatus {
    pub target: String,
    /// `None` when the target is not in the file.
    pub kind: Option<&'static str>,
    #[serde(rename = "where")]
    pub destination: Option<String>,
    pub state: MaybeKnown<TargetState>,
    pub failures_in_row: u32,
    #[serde(rename = "waits_until")]
    pub open_until: Option<DateTime<Utc>>,
    pub pending: u64,
    pub delivered: u64,
    pub given_up: u64,
}

impl TargetStatus {
    fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            kind: None,
            destination: None,
            state: TargetState::Active.into(),
            failures_in_row: 0,
            open_until: None,
            pending: 0,
            delivered: 0,
            given_up: 0,
        }
    }

    pub fn condition(&self) -> TargetCondition {
        let health = TargetHealth {
            state: self.state.clone(),
            failures_in_row: self.failures_in_row,
            ..TargetHealth::new(&self.target)
        };
        health.condition()
    }

    /// Until when its breaker is open.
    pub fn open_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.open_until.filter(|until| *until > now)
    }
}

/// Every target that is known from the file, from the database or by one of these names, by name.
pub fn statuses(
    config: &Config,
    names: &BTreeSet<String>,
    health: Vec<TargetHealth>,
    counts: Counts,
) -> Vec<TargetStatus> {
    let mut targets: BTreeMap<String, TargetStatus> =
        names.iter().map(|name| (name.clone(), TargetStatus::new(name))).collect();
    let mut named = |name: &str, change: &dyn Fn(&mut TargetStatus)| {
        change(targets.entry(name.to_owned()).or_insert_with(|| TargetStatus::new(name)));
    };
    for target in &config.targets {
        named(&target.name, &|status| {
            status.kind = Some(target.destination.kind());
            status.destination = Some(destination(target));
        });
    }
    for health in health {
        named(&health.target, &|status| {
            status.state = health.state.clone();
            (status.failures_in_row, status.open_until) = (health.failures_in_row, health.open_until);
        });
    }
    for (target, state, count) in counts {
        named(&target, &|status| match state.known() {
            Some(NotificationState::Pending) => status.pending = count,
            Some(NotificationState::Delivered) => status.delivered = count,
            Some(NotificationState::GivenUp) => status.given_up = count,
            None => {}
        });
    }
    targets.into_values().collect()
}

/// The names of the targets in the database, whether they are in the file or not.
///
/// # Errors
/// When the database cannot be read.
pub async fn known(store: &Store) -> Result<BTreeSet<String>, StoreError> {
    let health = store.target_health().await?;
    let counts = store.count_notifications().await?;
    let names = health.into_iter().map(|health| health.target);
    Ok(names.chain(counts.into_iter().map(|count| count.0)).collect())
}

/// The destination of a target, without secret parts.
pub fn destination(target: &Target) -> String {
    match target.destination.http() {
        Some(http) => http.shown(),
        None => "Redis".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_all_sources_are_listed_once() {
        let file = "[[targets]]\nname = \"app\"\nkind = \"redis-stream\"\n";
        let config = Config::parse(file, &|_| Err("no secret is needed".to_owned())).unwrap();
        let failing = TargetHealth { failures_in_row: 2, ..TargetHealth::new("app") };
        let counts = vec![
            ("app".to_owned(), NotificationState::Pending.into(), 3),
            ("old".to_owned(), NotificationState::GivenUp.into(), 1),
        ];
        let names = BTreeSet::from(["app".to_owned(), "new".to_owned()]);
        let statuses = statuses(&config, &names, vec![failing], counts);
        let names: Vec<&str> = statuses.iter().map(|status| &*status.target).collect();
        assert_eq!(names, ["app", "new", "old"]);
        assert_eq!((statuses[0].kind, statuses[0].pending), (Some("redis-stream"), 3));
        assert_eq!(statuses[0].condition(), TargetCondition::Failing);
        assert_eq!((statuses[2].kind, statuses[2].given_up), (None, 1));
    }
}
