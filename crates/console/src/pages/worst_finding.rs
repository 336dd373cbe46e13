//! The worst thing to know about the installation, as one sentence. It says that all is well only of what was read.

use chrono::{DateTime, TimeDelta, Utc};
use operations::status::{Paused, QueueStatus};
use queue::MemoryLevel;
use store::{TargetCondition, TargetHealth};

use super::quantity::{counted, span};
use crate::facts::{Facts, NoStore, QueueDown, QueueFacts, StoreFacts};

/// Facts are read every 5 seconds, and a read takes at most 4.
const KNOWN_FOR: TimeDelta = TimeDelta::seconds(30);
/// Work that is late for a moment is not worth a sentence.
const LATE_MS: u64 = 30_000;
/// As the alert in docs/health.md.
const TOO_LATE_MS: u64 = 300_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Ok,
    /// It needs a look, or solves itself.
    Wait,
    /// Webhooks are refused, or events are not processed.
    Bad,
}

impl Severity {
    /// The colour.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Wait => "wait",
            Self::Bad => "bad",
        }
    }
}

/// One sentence, and what to know or to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorstFinding {
    pub(super) severity: Severity,
    pub(super) what: String,
    pub(super) more: String,
    /// The page with more about it.
    pub(super) href: &'static str,
}

impl WorstFinding {
    pub(super) fn class(&self) -> &'static str {
        self.severity.class()
    }

    pub(super) fn is_ok(&self) -> bool {
        self.severity == Severity::Ok
    }
}

fn bad(what: impl Into<String>, more: impl Into<String>, href: &'static str) -> WorstFinding {
    WorstFinding { severity: Severity::Bad, what: what.into(), more: more.into(), href }
}

fn wait(what: impl Into<String>, more: impl Into<String>, href: &'static str) -> WorstFinding {
    WorstFinding { severity: Severity::Wait, ..bad(what, more, href) }
}

/// `None`: nothing has been read yet.
pub(super) fn worst(facts: Option<&Facts>, now: DateTime<Utc>) -> WorstFinding {
    let Some(facts) = facts else {
        return wait("Not known yet.", "The console has just started.", "/health");
    };
    if now - facts.read_at > KNOWN_FOR {
        let ago = span(now - facts.read_at);
        return wait("Not known.", format!("Redis and the database were last read {ago} ago."), "/health");
    }
    let (queue, store) = match (&facts.queue, &facts.store) {
        (Err(QueueDown { hint }), Err(NoStore::Down)) => {
            return bad("Neither Redis nor the database can be read.", sentence(hint), "/health");
        }
        (Err(QueueDown { hint }), _) => {
            return bad(
                "Redis cannot be read.",
                format!(
                    "If ingest cannot write to it either, it refuses webhooks, and OpenAI sends them again. {}",
                    sentence(hint)
                ),
                "/health",
            );
        }
        (Ok(queue), store) => (queue, store),
    };
    let store = match store {
        Ok(store) => Some(store),
        Err(NoStore::Down) => {
            return bad("The database cannot be read.", "Events wait in Redis until it is back.", "/health");
        }
        Err(NoStore::OldSchema) => {
            let more = "Start a worker of this version, which migrates it.";
            return bad("The database has an older schema than this console needs.", more, "/health");
        }
        Err(NoStore::NotCreated) => None,
    };
    let ranked = [
        programs(&queue.status),
        memory(queue, MemoryLevel::NearlyFull),
        overdue(&queue.status, TOO_LATE_MS),
        store.and_then(|store| targets(store, TargetCondition::Disabled, now)),
        pauses(&queue.status, now),
        overdue(&queue.status, LATE_MS),
        store.and_then(|store| targets(store, TargetCondition::Failing, now)),
        dead_letters(&queue.status),
        memory(queue, MemoryLevel::High),
        store.and_then(|store| targets(store, TargetCondition::Paused, now)),
    ];
    ranked.into_iter().flatten().next().unwrap_or_else(|| all_well(store, now))
}

fn all_well(store: Option<&StoreFacts>, now: DateTime<Utc>) -> WorstFinding {
    let last = match store.and_then(StoreFacts::last_received_at) {
        Some(at) => format!("Last webhook {} ago, nothing overdue.", span(now - at)),
        None => "No webhook yet.".to_owned(),
    };
    WorstFinding { severity: Severity::Ok, what: "All well.".to_owned(), more: last, href: "/events" }
}

/// A hint begins in lower case and has no full stop.
fn sentence(hint: &str) -> String {
    let mut chars = hint.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

fn programs(status: &QueueStatus) -> Option<WorstFinding> {
    let is_alive = |program| status.alive(program).next().is_some();
    let backlog = status.total.backlog;
    match (is_alive("ingest"), is_alive("worker")) {
        (true, true) => None,
        (false, false) => {
            Some(bad("Neither ingest nor a worker is running.", "No webhooks are received.", "/health"))
        }
        (false, true) => Some(bad("Ingest is not running.", "No webhooks are received.", "/health")),
        (true, false) => {
            let more = match backlog {
                0 => "Webhooks are received, and wait for one.".to_owned(),
                1 => "1 event waits for one.".to_owned(),
                several => format!("{} wait for one.", counted(several, "event")),
            };
            Some(bad("No worker is running.", more, "/health"))
        }
    }
}

fn memory(queue: &QueueFacts, level: MemoryLevel) -> Option<WorstFinding> {
    let share = queue.memory_used.filter(|share| MemoryLevel::of(*share) == level)?;
    let what = format!("Redis has used {:.0} % of its memory.", share * 100.0);
    match level {
        MemoryLevel::Normal => None,
        MemoryLevel::High => Some(wait(what, "From 85 % on, ingest refuses webhooks.", "/health")),
        MemoryLevel::NearlyFull => {
            Some(bad(what, "Ingest refuses webhooks, and OpenAI sends them again.", "/health"))
        }
    }
}

fn overdue(status: &QueueStatus, from_ms: u64) -> Option<WorstFinding> {
    let latest = status.families.iter().max_by_key(|family| family.overdue_ms)?;
    if latest.overdue_ms < from_ms {
        return None;
    }
    let late = span(millis(latest.overdue_ms));
    let what = format!("The next {} event has been due for {late}.", latest.family);
    let more = match latest.backlog() {
        1 => "Only this one waits.".to_owned(),
        several => format!("{} wait.", counted(several, "event")),
    };
    let as_severe = if from_ms >= TOO_LATE_MS { bad } else { wait };
    Some(as_severe(what, more, "/#queue"))
}

/// The pause that ends last.
fn pauses(status: &QueueStatus, now: DateTime<Utc>) -> Option<WorstFinding> {
    let pause = status.pauses.iter().max_by_key(|pause| pause.left_ms)?;
    let Paused { family, reason, left_ms, .. } = pause;
    let waiting =
        status.families.iter().find(|stats| stats.family == *family).map_or(0, |stats| stats.backlog());
    let what = match waiting {
        0 => format!("The family {family} is paused."),
        1 => format!("1 {family} event waits in a pause."),
        several => format!("{} wait in a pause.", counted(several, &format!("{family} event"))),
    };
    let next = (now + millis(*left_ms)).format("%H:%M:%S");
    let why =
        if reason == "rate_limited" { "OpenAI answered 429".to_owned() } else { reason.replace('_', " ") };
    let more = format!("{why}; next attempt at {next} UTC. Nothing is lost.");
    Some(wait(what, more, "/#queue"))
}

fn targets(store: &StoreFacts, condition: TargetCondition, now: DateTime<Utc>) -> Option<WorstFinding> {
    let found = store.targets.iter().filter(|target| target.condition() == condition);
    let (target, waiting) = found
        .map(|target| (target, store.waiting_for(&target.target)))
        .max_by_key(|(_, waiting)| *waiting)?;
    let TargetHealth { target: name, open_until, .. } = target;
    let waits = match waiting {
        1 => "1 notification waits.".to_owned(),
        several => format!("{} wait.", counted(several, "notification")),
    };
    match condition {
        TargetCondition::Active => None,
        TargetCondition::Disabled => {
            Some(bad(format!("The target {name} is disabled: it answered 410 Gone."), waits, "/targets"))
        }
        // It may have failed once, long ago.
        TargetCondition::Failing | TargetCondition::Paused if waiting == 0 => None,
        TargetCondition::Paused => Some(wait(format!("The target {name} is paused."), waits, "/targets")),
        TargetCondition::Failing => {
            let next = open_until.filter(|until| *until > now);
            let next = next
                .map_or_else(String::new, |at| format!(" Next attempt at {} UTC.", at.format("%H:%M:%S")));
            Some(wait(format!("The target {name} fails."), format!("{waits}{next}"), "/targets"))
        }
    }
}

fn dead_letters(status: &QueueStatus) -> Option<WorstFinding> {
    let more = "Redrive or discard them.";
    match status.total.dead {
        0 => None,
        dead => Some(wait(format!("{}.", counted(dead, "dead letter")), more, "/dead")),
    }
}

fn millis(ms: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX / 1_000))
}

#[cfg(test)]
mod tests;
