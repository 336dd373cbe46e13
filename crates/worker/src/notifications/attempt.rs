//! One attempt to deliver one notification: send, settle, log, count.

use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use error_text::chain;
use notifier::{Endpoint, SendError, TargetResponse};
use queue::{NotificationStream, QueueError, StreamedNotification};
use store::{AttemptEnd, NewNotification, NextStep, NotificationAttempt, NotificationRecord, Store};
use webhook::Reason;

use crate::metrics::Metrics;
use crate::notifications::schedule::Timing;
use crate::outcome::NotificationOutcome;

/// How to reach a target.
#[derive(Clone)]
pub(crate) enum Transport {
    Http(Endpoint),
    Stream { stream: NotificationStream, max_len: u64 },
}

/// Everything an attempt needs except the notification.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) store: Store,
    pub(crate) transport: Transport,
    pub(crate) timing: Timing,
    pub(crate) metrics: Metrics,
}

/// A notification leased to this worker.
pub(crate) struct LeasedNotification {
    pub(crate) record: NotificationRecord,
    pub(crate) owner: String,
    pub(crate) is_probe: bool,
}

#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Http(SendError),
    #[error("could not write to the target's stream")]
    Stream(#[source] QueueError),
    #[error("the target did not answer before the notification was too late")]
    TooLate,
}

/// What is known of a notification before an attempt. The default: it has no row yet.
#[derive(Default)]
struct Before {
    owner: Option<String>,
    attempts: u32,
    attempts_before: u32,
    is_probe: bool,
}

impl Sender {
    /// Sends it and settles it. Never fails: if settling fails, it is sent again when its lease expires.
    pub(crate) async fn attempt(&self, leased: LeasedNotification) {
        let LeasedNotification { record, owner, is_probe } = leased;
        let (attempts, attempts_before) = (record.attempts, record.attempts_before);
        let before = Before { owner: Some(owner), attempts, attempts_before, is_probe };
        let end = self.send_once(&record.notification, before).await;
        let settled = self.store.settle_notification(&end).await;
        let outcome = match settled {
            Ok(false) => NotificationOutcome::LeaseLost,
            Ok(true) | Err(_) => outcome(&end),
        };
        self.log(&record.notification, &end, outcome, settled.err().map(|error| chain(&error)));
    }

    /// Sends a notification that has no row yet. The write of the row settles it.
    pub(crate) async fn attempt_early(&self, notification: &NewNotification) -> AttemptEnd {
        let end = self.send_once(notification, Before::default()).await;
        self.log(notification, &end, outcome(&end), None);
        end
    }

    /// Reports a notification that was given up without another attempt, because its time to live is over.
    pub(crate) fn report_expired(&self, record: &NotificationRecord) {
        let notification = &record.notification;
        self.metrics.notification(&notification.target, NotificationOutcome::GivenUp);
        tracing::error!(
            notification.id = notification.id,
            notification.target = notification.target,
            notification.type = notification.kind.as_str(),
            event.id = notification.event_id,
            object.id = notification.object_id,
            project = notification.project,
            notification.attempt = record.attempts,
            outcome = NotificationOutcome::GivenUp.as_str(),
            reason = Reason::TooLate.as_str(),
            error = record.last_error,
            "notification given up: it is too late"
        );
    }

    async fn send_once(&self, notification: &NewNotification, before: Before) -> AttemptEnd {
        let (started_at, started) = (self.timing.now(), Instant::now());
        let sent = self.send_in_time(notification, started_at).await;
        let took = started.elapsed();
        let now = self.timing.now();
        let attempt = before.attempts + 1;
        let answer = match &sent {
            Ok(answer) => answer.as_ref(),
            Err(AttemptError::Http(error)) => error.response(),
            Err(AttemptError::Stream(_) | AttemptError::TooLate) => None,
        };
        let (is_gone, retry_after) = match &sent {
            Err(AttemptError::Http(error)) => (!error.is_retryable(), error.retry_after()),
            Ok(_) | Err(AttemptError::Stream(_) | AttemptError::TooLate) => (false, None),
        };
        let wait = self.timing.schedule.wait(attempt - before.attempts_before);
        let wait = wait.map(|wait| wait.max(retry_after.unwrap_or_default()));
        let next = match &sent {
            Ok(_) => NextStep::Delivered,
            Err(_) => after_failure(wait, now, notification.expires_at),
        };
        AttemptEnd {
            project: notification.project.clone(),
            id: notification.id.clone(),
            target: notification.target.clone(),
            owner: before.owner,
            attempt: NotificationAttempt {
                attempt,
                started_at,
                latency_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
                status: answer.map(|answer| i64::from(answer.status)),
                answer: answer.map(|answer| answer.head.clone()).filter(|head| !head.is_empty()),
                error: sent.as_ref().err().map(|error| chain(error)),
            },
            next,
            is_probe: before.is_probe,
            is_gone,
            retry_after,
            at: now,
            breaker: self.timing.breaker,
        }
    }

    /// Sends it, unless the target takes longer than the notification's time to live.
    async fn send_in_time(
        &self,
        notification: &NewNotification,
        now: DateTime<Utc>,
    ) -> Result<Option<TargetResponse>, AttemptError> {
        let sending = self.send(notification);
        match notification.expires_at {
            Some(expires_at) => {
                let left = (expires_at - now).to_std().unwrap_or_default();
                tokio::time::timeout(left, sending).await.unwrap_or(Err(AttemptError::TooLate))
            }
            None => sending.await,
        }
    }

    async fn send(&self, notification: &NewNotification) -> Result<Option<TargetResponse>, AttemptError> {
        match &self.transport {
            Transport::Http(endpoint) => {
                let body = Bytes::from(notification.body.clone());
                let sent = endpoint.send(&notification.id, body, self.timing.now()).await;
                sent.map(Some).map_err(AttemptError::Http)
            }
            Transport::Stream { stream, max_len } => {
                let streamed = StreamedNotification {
                    target: &notification.target,
                    id: &notification.id,
                    kind: notification.kind.as_str(),
                    body: &notification.body,
                };
                stream.add(streamed, *max_len).await.map(|_entry_id| None).map_err(AttemptError::Stream)
            }
        }
    }

    /// Logs the attempt, and updates its metrics.
    fn log(
        &self,
        notification: &NewNotification,
        end: &AttemptEnd,
        outcome: NotificationOutcome,
        unsettled: Option<String>,
    ) {
        self.metrics.notification(&notification.target, outcome);
        if outcome == NotificationOutcome::Delivered {
            let lag = notification.event_created_at.map(|at| (end.at - at).num_milliseconds());
            self.metrics.notified_lag(lag);
        }
        let (retry_in_secs, reason) = match end.next {
            NextStep::RetryAt(at) => (Some((at - end.at).as_seconds_f64()), None),
            NextStep::GiveUp(reason) => (None, Some(reason.as_str())),
            NextStep::Delivered => (None, None),
        };
        let error = end.attempt.error.clone();
        let error =
            unsettled.map(|unsettled| format!("could not settle the notification: {unsettled}")).or(error);
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    notification.id = notification.id,
                    notification.target = notification.target,
                    notification.type = notification.kind.as_str(),
                    event.id = notification.event_id,
                    object.id = notification.object_id,
                    project = notification.project,
                    notification.attempt = end.attempt.attempt,
                    outcome = outcome.as_str(),
                    reason,
                    retry_in_secs,
                    duration_ms = end.attempt.latency_ms,
                    http.status = end.attempt.status,
                    error,
                    $message
                )
            };
        }
        match outcome {
            NotificationOutcome::Delivered => line!(info, "notification delivered"),
            NotificationOutcome::Retry | NotificationOutcome::LeaseLost => line!(warn, "notification failed"),
            NotificationOutcome::GivenUp => {
                line!(error, "notification given up; run landfall notifications retry to send it again");
            }
            NotificationOutcome::Disabled => line!(
                error,
                "the target answered 410 Gone; sending stops until you run landfall targets resume"
            ),
        }
    }
}

fn outcome(end: &AttemptEnd) -> NotificationOutcome {
    match end.next {
        NextStep::Delivered => NotificationOutcome::Delivered,
        NextStep::RetryAt(_) | NextStep::GiveUp(_) if end.is_gone => NotificationOutcome::Disabled,
        NextStep::RetryAt(_) => NotificationOutcome::Retry,
        NextStep::GiveUp(_) => NotificationOutcome::GivenUp,
    }
}

/// `wait` is `None` after the last attempt of the schedule.
fn after_failure(wait: Option<Duration>, now: DateTime<Utc>, expires_at: Option<DateTime<Utc>>) -> NextStep {
    let Some(wait) = wait else { return NextStep::GiveUp(Reason::GaveUp) };
    let next_at = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
    match expires_at {
        Some(expires_at) if next_at >= expires_at => NextStep::GiveUp(Reason::TooLate),
        Some(_) | None => NextStep::RetryAt(next_at),
    }
}
