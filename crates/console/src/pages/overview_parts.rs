//! The cards and the rows of the overview's tables.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use operations::day::Day;
use operations::status::{Importing, QueueStatus};
use queue::FamilyStats;
use store::{TargetCondition, TargetHealth};

use super::address;
use super::moment::Moment;
use super::quantity::{count, span};
use super::state_word::StateWord;
use crate::facts::{Facts, QueueFacts, StoreFacts};

/// Less is not worth a word.
const OVERDUE_MS: u64 = 1_000;
const UNKNOWN: &str = "not known";

/// A number with its name, which links to more of it.
pub(super) struct Card {
    pub(super) href: &'static str,
    pub(super) name: &'static str,
    pub(super) value: String,
    /// The exact time, if the value is one.
    pub(super) title: String,
    pub(super) more: String,
}

/// The four cards.
pub(super) fn cards(facts: Option<&Facts>, day: Option<&Day>, now: DateTime<Utc>) -> Vec<Card> {
    let queue = facts.and_then(|facts| facts.queue.as_ref().ok()).map(|queue| &queue.status);
    let store = facts.and_then(|facts| facts.store.as_ref().ok());
    vec![last_webhook(store, day, now), backlog(queue), dead_letters(queue), programs(queue)]
}

fn last_webhook(store: Option<&StoreFacts>, day: Option<&Day>, now: DateTime<Utc>) -> Card {
    let last = store.map(StoreFacts::last_received_at);
    let more = day.map(|day| {
        let (events, is_more) = day.last_hour();
        format!("{}{} in the last hour", count(events), if is_more { "+" } else { "" })
    });
    Card {
        href: "/events",
        name: "Last webhook",
        value: match last {
            None => UNKNOWN.to_owned(),
            Some(None) => "none yet".to_owned(),
            Some(Some(at)) => format!("{} ago", span(now - at)),
        },
        title: last
            .flatten()
            .map_or_else(String::new, |at| format!("{} UTC", at.format("%Y-%m-%d %H:%M:%S%.3f"))),
        more: more.unwrap_or_else(|| "seen by a worker".to_owned()),
    }
}

fn backlog(queue: Option<&QueueStatus>) -> Card {
    let overdue = queue.map(|queue| queue.total.overdue_ms);
    Card {
        href: "#queue",
        name: "Backlog",
        value: queue.map_or_else(|| UNKNOWN.to_owned(), |queue| count(queue.total.backlog)),
        title: String::new(),
        more: match overdue {
            None => "Redis cannot be read".to_owned(),
            Some(..OVERDUE_MS) => "nothing overdue".to_owned(),
            Some(ms) => format!("oldest overdue: {}", span(millis(ms))),
        },
    }
}

fn dead_letters(queue: Option<&QueueStatus>) -> Card {
    let families = queue.map(|queue| {
        let dead = queue.families.iter().filter(|family| family.dead > 0);
        let dead: Vec<String> =
            dead.map(|family| format!("{} {}", count(family.dead), family.family)).collect();
        if dead.is_empty() { "nothing was given up".to_owned() } else { dead.join(", ") }
    });
    Card {
        href: "/dead",
        name: "Dead letters",
        value: queue.map_or_else(|| UNKNOWN.to_owned(), |queue| count(queue.total.dead)),
        title: String::new(),
        more: families.unwrap_or_else(|| "Redis cannot be read".to_owned()),
    }
}

fn programs(queue: Option<&QueueStatus>) -> Card {
    let alive = |program| queue.map_or(0, |queue| queue.alive(program).count());
    let versions = queue.map(|queue| {
        let alive = queue.instances.iter().filter(|instance| instance.alive);
        let versions: BTreeSet<&str> = alive.map(|instance| instance.version.as_str()).collect();
        match versions.len() {
            0 => String::new(),
            1 => format!(", all {}", versions.first().copied().unwrap_or_default()),
            _ => format!(", versions {}", versions.into_iter().collect::<Vec<_>>().join(" and ")),
        }
    });
    Card {
        href: "/health",
        name: "Running",
        value: match queue {
            Some(_) => format!("{} + {}", alive("ingest"), alive("worker")),
            None => UNKNOWN.to_owned(),
        },
        title: String::new(),
        more: versions.map_or_else(
            || "Redis cannot be read".to_owned(),
            |versions| format!("ingest + workers{versions}"),
        ),
    }
}

/// A batch that is being imported.
pub(super) struct ImportRow {
    pub(super) href: String,
    pub(super) batch_id: String,
    pub(super) stored: i64,
    /// For the bar; `None` if OpenAI does not say how many there are.
    pub(super) total: Option<i64>,
    pub(super) rows: String,
    pub(super) rate: String,
    pub(super) left: String,
}

impl ImportRow {
    /// No time is left to say unless a worker is importing.
    pub(super) fn of(import: &Importing, is_importing: bool) -> Self {
        let left = import.left_secs.filter(|_| is_importing).and_then(|secs| i64::try_from(secs).ok());
        let stored = count(import.rows_stored);
        Self {
            href: address::of("/batches", &import.batch_id),
            batch_id: import.batch_id.clone(),
            stored: import.rows_stored,
            total: import.requests_total.filter(|total| *total > 0),
            rows: match import.requests_total {
                Some(total) => format!("{stored} of {}", count(total)),
                None => stored,
            },
            rate: count(import.rows_per_sec as i128),
            left: left.and_then(TimeDelta::try_seconds).map_or_else(|| "–".to_owned(), span),
        }
    }
}

/// A target.
pub(super) struct TargetRow {
    pub(super) name: String,
    pub(super) state: StateWord,
    pub(super) waiting: String,
}

impl TargetRow {
    /// Those that workers know, and those that have a row in the database.
    pub(super) fn all(store: &StoreFacts, queue: Option<&QueueFacts>, now: DateTime<Utc>) -> Vec<Self> {
        let instances = queue.map_or(&[][..], |queue| &queue.status.instances);
        let known = instances.iter().filter(|instance| instance.alive).filter_map(|it| it.targets.as_ref());
        let mut names: BTreeSet<&str> = known.flatten().map(String::as_str).collect();
        names.extend(store.targets.iter().map(|target| target.target.as_str()));
        names.extend(store.pending.iter().map(|(target, _)| target.as_str()));
        let row = |name: &str| Self {
            name: name.to_owned(),
            state: target_state(store.targets.iter().find(|target| target.target == name), now),
            waiting: count(store.waiting_for(name)),
        };
        names.into_iter().map(row).collect()
    }
}

fn target_state(health: Option<&TargetHealth>, now: DateTime<Utc>) -> StateWord {
    match health.map(|health| (health.condition(), health.open_until)) {
        None => StateWord::new("", "nothing sent yet"),
        Some((TargetCondition::Active, _)) => StateWord::new("ok", "delivering"),
        Some((TargetCondition::Failing, Some(until))) if until > now => {
            StateWord::new("wait", format!("failing, next try {}", until.format("%H:%M:%S")))
        }
        Some((TargetCondition::Failing, _)) => StateWord::new("wait", "failing"),
        Some((TargetCondition::Paused, _)) => StateWord::new("wait", "paused"),
        Some((TargetCondition::Disabled, _)) => StateWord::new("bad", "disabled"),
    }
}

/// A family of the queue.
pub(super) struct QueueRow {
    pub(super) family: &'static str,
    pub(super) href: String,
    pub(super) state: StateWord,
    /// When its pause ends.
    pub(super) until: Option<Moment>,
    pub(super) counts: [String; 4],
    pub(super) overdue: String,
}

impl QueueRow {
    pub(super) fn all(status: &QueueStatus, now: DateTime<Utc>) -> Vec<Self> {
        status.families.iter().map(|family| Self::of(family, status, now)).collect()
    }

    fn of(stats: &FamilyStats, status: &QueueStatus, now: DateTime<Utc>) -> Self {
        let paused = status.pauses.iter().filter(|pause| pause.family == stats.family);
        let until = paused.map(|pause| now + millis(pause.left_ms)).max();
        let number = |number: u64| count(number);
        Self {
            family: stats.family.as_str(),
            href: format!("/events?family={}", stats.family),
            state: match stats {
                _ if until.is_some() => StateWord::new("wait", "paused"),
                FamilyStats { pending: 1.., .. } => StateWord::new("ok", "working"),
                FamilyStats { undelivered: 1.., .. } => StateWord::new("wait", "waiting"),
                FamilyStats { delayed: 1.., .. } => StateWord::new("", "waits for retries"),
                _ => StateWord::new("", "idle"),
            },
            until: until.map(|until| Moment::ago(until, now)),
            counts: [stats.undelivered, stats.pending, stats.delayed, stats.dead].map(number),
            overdue: match stats.overdue_ms {
                ..OVERDUE_MS => "–".to_owned(),
                ms => span(millis(ms)),
            },
        }
    }
}

fn millis(ms: u64) -> TimeDelta {
    TimeDelta::try_milliseconds(i64::try_from(ms).unwrap_or(i64::MAX)).unwrap_or_default()
}
