//! One attempt to deliver one notification: send, settle, log, count.

use std::time::Instant;

use bytes::Bytes;
use chrono::TimeDelta;
use error_text::chain;
use notifier::{Endpoint, SendError, TargetResponse};
use queue::{NotificationStream, QueueError, StreamedNotification};
use store::{AttemptEnd, NextStep, NotificationAttempt, NotificationRecord, Store};

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
}

impl Sender {
    /// Sends it and settles it. Never fails: if settling fails, it is sent again when its lease expires.
    pub(crate) async fn attempt(&self, leased: LeasedNotification) {
        let LeasedNotification { record, owner, is_probe } = &leased;
        let (started_at, started) = (self.timing.now(), Instant::now());
        let sent = self.send(record).await;
        let took = started.elapsed();
        let now = self.timing.now();
        let attempt = record.attempts + 1;
        let answer = match &sent {
            Ok(answer) => answer.as_ref(),
            Err(AttemptError::Http(error)) => error.response(),
            Err(AttemptError::Stream(_)) => None,
        };
        let (is_gone, retry_after) = match &sent {
            Err(AttemptError::Http(error)) => (!error.is_retryable(), error.retry_after()),
            Ok(_) | Err(AttemptError::Stream(_)) => (false, None),
        };
        let wait = self.timing.schedule.wait(attempt - record.attempts_before);
        let next = match (&sent, wait) {
            (Ok(_), _) => NextStep::Delivered,
            (Err(_), Some(wait)) => {
                let wait = wait.max(retry_after.unwrap_or_default());
                NextStep::RetryAt(now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX))
            }
            (Err(_), None) => NextStep::GiveUp,
        };
        let end = AttemptEnd {
            project: record.notification.project.clone(),
            id: record.notification.id.clone(),
            target: record.notification.target.clone(),
            owner: owner.clone(),
            attempt: NotificationAttempt {
                attempt,
                started_at,
                latency_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
                status: answer.map(|answer| i64::from(answer.status)),
                answer: answer.map(|answer| answer.head.clone()).filter(|head| !head.is_empty()),
                error: sent.as_ref().err().map(|error| chain(error)),
            },
            next,
            is_probe: *is_probe,
            is_gone,
            retry_after,
            at: now,
            breaker: self.timing.breaker,
        };
        let settled = self.store.settle_notification(&end).await;
        let outcome = match (&settled, next) {
            (Ok(false), _) => NotificationOutcome::LeaseLost,
            (_, NextStep::Delivered) => NotificationOutcome::Delivered,
            (_, NextStep::RetryAt(_) | NextStep::GiveUp) if is_gone => NotificationOutcome::Disabled,
            (_, NextStep::RetryAt(_)) => NotificationOutcome::Retry,
            (_, NextStep::GiveUp) => NotificationOutcome::GivenUp,
        };
        self.log(record, &end, outcome, settled.err().map(|error| chain(&error)));
    }

    async fn send(&self, record: &NotificationRecord) -> Result<Option<TargetResponse>, AttemptError> {
        let notification = &record.notification;
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
        record: &NotificationRecord,
        end: &AttemptEnd,
        outcome: NotificationOutcome,
        unsettled: Option<String>,
    ) {
        let notification = &record.notification;
        self.metrics.notification(&notification.target, outcome);
        if outcome == NotificationOutcome::Delivered {
            let lag = notification.event_created_at.map(|at| (end.at - at).num_milliseconds());
            self.metrics.notified_lag(lag);
        }
        let retry_in_secs = match end.next {
            NextStep::RetryAt(at) => Some((at - end.at).as_seconds_f64()),
            NextStep::Delivered | NextStep::GiveUp => None,
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
