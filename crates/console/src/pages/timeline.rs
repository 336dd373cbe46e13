//! What happened to an event, in order: OpenAI's clock, the receipt, each attempt and the wait after it, and each target.

use chrono::{DateTime, TimeDelta, Utc};
use store::{AttemptOutcome, AttemptRecord, EventRecord, NotificationAttempt, NotificationRecord};
use webhook::{EventState, MaybeKnown, NotificationState};

use super::moment::Moment;
use super::quantity;

/// Shorter waits are not worth a line.
const WAIT_MIN: TimeDelta = TimeDelta::seconds(1);

/// A line of the timeline. `class` is the colour of its dot.
pub(super) struct Step {
    pub(super) class: &'static str,
    /// `None` for a wait.
    pub(super) at: When,
    pub(super) who: String,
    pub(super) what: String,
    pub(super) took: String,
}

/// The time of a step; empty for a wait.
pub(super) struct When(Option<Moment>);

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(moment) => moment.fmt(f),
            None => f.write_str("<time></time>"),
        }
    }
}

impl askama::filters::HtmlSafe for When {}

/// A notification and its attempts.
pub(super) struct NotificationHistory {
    pub(super) notification: NotificationRecord,
    pub(super) attempts: Vec<NotificationAttempt>,
}

/// All steps so far, and what comes next.
pub(super) fn steps(
    event: &EventRecord,
    attempts: &[AttemptRecord],
    notifications: &[NotificationHistory],
    now: DateTime<Utc>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(created_at) = event.created_at {
        steps.push(step("ok", created_at, "OpenAI", format!("{} created", event.event_type), ""));
    }
    let late = event.created_at.map(|at| format!("{} later", quantity::span(event.received_at - at)));
    let received = "received, signature valid, acknowledged".to_owned();
    steps.push(step("ok", event.received_at, "ingest", received, &late.unwrap_or_default()));
    add_attempts(&mut steps, attempts);
    add_end(&mut steps, event, attempts);
    let mut notified: Vec<(DateTime<Utc>, Step)> =
        notifications.iter().flat_map(|history| notification_steps(history, now)).collect();
    notified.sort_by_key(|(at, _)| *at);
    steps.extend(notified.into_iter().map(|(_, step)| step));
    steps
}

fn step(class: &'static str, at: DateTime<Utc>, who: &str, what: String, took: &str) -> Step {
    let at = When(Some(Moment::time_of_day(at)));
    Step { class, at, who: who.to_owned(), what, took: took.to_owned() }
}

fn add_attempts(steps: &mut Vec<Step>, attempts: &[AttemptRecord]) {
    for (index, attempt) in attempts.iter().enumerate() {
        let took = quantity::millis(attempt.duration_ms as f64);
        let class = match attempt.outcome.known() {
            Some(AttemptOutcome::Stored) => "ok",
            Some(AttemptOutcome::Retry | AttemptOutcome::Dead) => "bad",
            None => "",
        };
        steps.push(step(class, attempt.started_at, &attempt.worker, what(attempt), &took));
        let Some(next) = attempts.get(index + 1) else { continue };
        if next.attempt > attempt.attempt + 1 {
            let left_out = next.attempt - attempt.attempt - 1;
            steps.push(pause(format!("{} more", quantity::counted(left_out, "attempt"))));
        } else {
            let ended = attempt.started_at + TimeDelta::milliseconds(attempt.duration_ms);
            let wait = next.started_at - ended;
            if wait >= WAIT_MIN {
                steps.push(pause(format!("waited {}", quantity::span(wait))));
            }
        }
    }
}

fn pause(what: String) -> Step {
    Step { class: "wait", at: When(None), who: String::new(), what, took: String::new() }
}

fn what(attempt: &AttemptRecord) -> String {
    let mut text = format!("attempt {}", attempt.attempt);
    let status = attempt.http_status.map(|status| format!("OpenAI answered {status}"));
    let reason = attempt.reason.as_ref().map(|reason| reason.as_str().replace('_', " "));
    let request = attempt.request_id.as_ref().map(|id| format!("request {id}"));
    let details: Vec<String> = [status, reason, request].into_iter().flatten().collect();
    if !details.is_empty() {
        text.push_str(": ");
        text.push_str(&details.join(", "));
    }
    text
}

fn add_end(steps: &mut Vec<Step>, event: &EventRecord, attempts: &[AttemptRecord]) {
    let nothing = String::new();
    let fetched = attempts.last().is_some_and(|last| last.outcome == AttemptOutcome::Stored);
    match (event.state.known(), event.processed_at) {
        (Some(EventState::Stored), Some(at)) => {
            let what = match &event.reason {
                Some(reason) => format!("stored: {}", reason.as_str().replace('_', " ")),
                None if fetched => "stored".to_owned(),
                // The first attempt is not recorded when it succeeds.
                None => "fetched and stored at the first attempt".to_owned(),
            };
            let took = quantity::millis((at - event.received_at).num_milliseconds().max(0) as f64);
            steps.push(step("ok", at, "worker", what, &took));
        }
        (Some(EventState::Dead), Some(at)) => {
            let reason = event.reason.as_ref().map(MaybeKnown::as_str).unwrap_or("given up");
            steps.push(step(
                "bad",
                at,
                "worker",
                format!("dead letter: {}", reason.replace('_', " ")),
                &nothing,
            ));
        }
        (Some(EventState::Received), _) => steps.push(pause("in the queue or being processed".to_owned())),
        (Some(EventState::Retrying), _) => steps.push(pause("waiting for its next attempt".to_owned())),
        _ => {}
    }
}

fn notification_steps(history: &NotificationHistory, now: DateTime<Utc>) -> Vec<(DateTime<Utc>, Step)> {
    let NotificationHistory { notification: record, attempts } = history;
    let target = &record.notification.target;
    let mut steps: Vec<(DateTime<Utc>, Step)> = attempts
        .iter()
        .map(|attempt| {
            let class = if attempt.error.is_none() { "ok" } else { "bad" };
            let status = attempt.status.map(|status| status.to_string());
            let what = match &attempt.error {
                None => format!("notified: {}", status.unwrap_or_else(|| "done".to_owned())),
                Some(error) => error.clone(),
            };
            let took = quantity::millis(attempt.latency_ms as f64);
            (attempt.started_at, step(class, attempt.started_at, target, what, &took))
        })
        .collect();
    match (record.state.known(), record.next_attempt_at) {
        (Some(NotificationState::Pending), Some(next)) => {
            let when =
                if next > now { format!("in {}", quantity::span(next - now)) } else { "now".to_owned() };
            let what = format!("next attempt {when}");
            steps.push((next, Step { who: target.clone(), ..pause(what) }));
        }
        (Some(NotificationState::GivenUp), _) => {
            let at = attempts.last().map_or(record.notification.created_at, |last| last.started_at);
            let reason = record.reason.as_ref().map_or("no attempt is left", MaybeKnown::as_str);
            let what = format!("given up: {}", reason.replace('_', " "));
            steps.push((at, Step { class: "bad", who: target.clone(), ..pause(what) }));
        }
        _ => {}
    }
    steps
}
