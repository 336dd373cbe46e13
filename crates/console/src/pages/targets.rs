//! The notification targets: what each is sent, and whether it answers.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use notifier::Config;
use operations::targets::{Counts, TargetStatus, statuses};
use store::{NotificationAttempt, Store, StoreError, TargetCondition};
use webhook::{MaybeKnown, NotificationState};

use super::address::Address;
use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::state_word::StateWord;
use crate::state::State;
use crate::targets_file;

/// How many of the newest notifications are counted.
const COUNTED: u32 = 10_000;
/// Among how many of the newest notifications the last answers are looked for.
const ANSWERS_AMONG: u32 = 1_000;

#[derive(Template)]
#[template(path = "targets.html")]
struct TargetsPage {
    frame: Frame,
    problem: Option<String>,
    rows: Vec<TargetRow>,
    /// Whether older notifications are not counted.
    is_cut: bool,
}

struct TargetRow {
    name: String,
    href: String,
    /// What kind of target it is, and where.
    destination: String,
    state: StateWord,
    next: Option<Moment>,
    /// Waiting, given up and delivered.
    counts: [Counted; 3],
    answer: Option<Answer>,
    hint: Option<Hint>,
}

struct Hint {
    text: &'static str,
    command: Option<String>,
}

/// A number that leads to what it counts.
struct Counted {
    number: String,
    href: String,
}

/// The last attempt.
struct Answer {
    at: Moment,
    what: String,
}

/// All targets by name.
#[get("/targets")]
pub(crate) async fn targets_page(state: web::Data<State>) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let (config, problem) = match &state.landfall_config {
        None => (None, None),
        Some(path) => match targets_file::read(path).await {
            Ok(config) => (Some(config), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    let of_workers = known_to_workers(&state).await;
    let (counts, is_cut) = counts(store).await?;
    let targets = statuses(
        config.as_ref().unwrap_or(&Config::default()),
        &of_workers,
        store.target_health().await?,
        counts,
    );
    let mut answers: BTreeMap<String, NotificationAttempt> =
        store.last_attempts(ANSWERS_AMONG).await?.into_iter().collect();
    for target in targets.iter().filter(|target| target.failures_in_row > 0) {
        let waiting = store.last_attempt_of_waiting(&target.target).await?;
        let newer = waiting.filter(|waiting| {
            answers.get(&target.target).is_none_or(|answer| answer.started_at < waiting.started_at)
        });
        answers.extend(newer.map(|newer| (target.target.clone(), newer)));
    }
    let now = Utc::now();
    let row = |target: &TargetStatus| TargetRow::of(target, answers.get(&target.target), &of_workers, now);
    page(&TargetsPage {
        frame: Frame::new(state.head(), Nav::Targets, "Targets", "landfall targets list"),
        problem,
        rows: targets.iter().map(row).collect(),
        is_cut,
    })
}

/// The targets of the running workers; none while Redis is down.
pub(super) async fn known_to_workers(state: &State) -> BTreeSet<String> {
    let instances = state.queue.instances().await.unwrap_or_default();
    let alive = instances.into_iter().filter(queue::Instance::is_alive);
    alive.filter_map(|instance| instance.info.targets).flat_map(|targets| targets.names).collect()
}

/// All waiting notifications, the others among the newest ones, and whether there are more.
async fn counts(store: &Store) -> Result<(Counts, bool), StoreError> {
    let newest = store.count_newest_notifications(COUNTED).await?;
    let is_cut = newest.iter().map(|(.., count)| count).sum::<u64>() >= u64::from(COUNTED);
    let waiting = store.pending_notifications().await?;
    let waiting =
        waiting.into_iter().map(|(target, count)| (target, NotificationState::Pending.into(), count));
    let others = newest.into_iter().filter(|(_, state, _)| *state != NotificationState::Pending);
    Ok((others.chain(waiting).collect(), is_cut))
}

impl TargetRow {
    fn of(
        target: &TargetStatus,
        answer: Option<&NotificationAttempt>,
        of_workers: &BTreeSet<String>,
        now: DateTime<Utc>,
    ) -> Self {
        let all = Address::new("/notifications").with("target", &target.target);
        let counted = |(state, count): (NotificationState, u64)| Counted {
            number: quantity::count(count),
            href: all.clone().with("state", state.as_str()).to_string(),
        };
        let counts = [
            (NotificationState::Pending, target.pending),
            (NotificationState::GivenUp, target.given_up),
            (NotificationState::Delivered, target.delivered),
        ];
        let (state, next) = state(target, now);
        Self {
            name: target.target.clone(),
            href: all.to_string(),
            destination: [target.kind, target.destination.as_deref()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
            state,
            next: next.map(|at| Moment::ago(at, now)),
            counts: counts.map(counted),
            answer: answer
                .map(|answer| Answer { at: Moment::ago(answer.started_at, now), what: what(answer) }),
            hint: hint(target, of_workers.contains(&target.target)),
        }
    }
}

/// The state, and when a target that fails is tried again.
fn state(target: &TargetStatus, now: DateTime<Utc>) -> (StateWord, Option<DateTime<Utc>>) {
    let word = match target.condition() {
        TargetCondition::Active => StateWord::new("ok", "delivering"),
        TargetCondition::Failing => match target.open_until(now) {
            Some(until) => return (StateWord::new("bad", "breaker open, next try"), Some(until)),
            None => StateWord::new("bad", failed(target.failures_in_row)),
        },
        TargetCondition::Disabled => StateWord::new("bad", "disabled"),
        // Also a state that only a newer version knows.
        TargetCondition::Paused => StateWord::new("wait", MaybeKnown::to_string(&target.state)),
    };
    (word, None)
}

fn failed(times: u32) -> String {
    match times {
        1 => "failed once".to_owned(),
        times => format!("failed {} times in a row", quantity::count(times)),
    }
}

/// `200 in 12 ms`, or the error.
fn what(attempt: &NotificationAttempt) -> String {
    let took = quantity::millis(attempt.latency_ms as f64);
    match (&attempt.error, attempt.status) {
        (Some(error), _) => error.clone(),
        (None, Some(status)) => format!("{status} in {took}"),
        (None, None) => format!("accepted in {took}"),
    }
}

/// What to do about a target that gets nothing.
fn hint(target: &TargetStatus, is_of_worker: bool) -> Option<Hint> {
    let hint = |text, verb: &str| {
        let command = format!("landfall targets {verb} {}", target.target);
        Some(Hint { text, command: Some(command) })
    };
    match target.condition() {
        TargetCondition::Active if target.pending > 0 && !is_of_worker => {
            Some(Hint { text: "No running worker has it in its landfall.toml.", command: None })
        }
        TargetCondition::Active => None,
        TargetCondition::Failing => hint("Fix it, then run", "test"),
        TargetCondition::Paused => hint("Resume it with", "resume"),
        TargetCondition::Disabled => hint("It returned 410 Gone. Enable it again with", "resume"),
    }
}
