//! The one log line each delivery gets, and its metrics.

use std::time::Duration;

use chrono::Utc;
use queue::{Delivery, QueueError, Settled};
use service::telemetry::chain;
use store::WriteFault;
use webhook::{Family, FetchState, Reason};

use crate::context::Context;
use crate::handlers::Remedy;
use crate::verdict::{DeliveryOutcome, Failed, Verdict};
use crate::work::Work;

/// What the log says of a delivery, taken before it is settled away.
pub(crate) struct LogLine {
    family: Family,
    entry_id: String,
    webhook_id: Option<String>,
    event_id: Option<String>,
    event_type: Option<String>,
    object_id: Option<String>,
    project: Option<String>,
    attempt: u32,
    created_ms: Option<i64>,
}

impl LogLine {
    pub(crate) fn new(context: &Context, family: Family, delivery: &Delivery) -> Self {
        let entry = delivery.content.as_ref().ok();
        let work = entry.map(|entry| Work::new(entry, delivery.attempt, &context.worker));
        Self {
            family,
            entry_id: delivery.entry_id.clone(),
            webhook_id: entry.map(|entry| entry.webhook_id.clone()),
            event_id: work.as_ref().and_then(|work| work.event_id().map(str::to_owned)),
            event_type: entry.map(|entry| entry.event_type.clone()),
            object_id: work.as_ref().and_then(|work| work.object_id().map(str::to_owned)),
            project: entry.map(|entry| entry.project.clone()),
            attempt: delivery.attempt,
            created_ms: work.and_then(|work| work.created_at()).map(|at| at.timestamp_millis()),
        }
    }

    pub(crate) fn write(
        self,
        context: &Context,
        verdict: &Verdict,
        settled: Result<Settled, QueueError>,
        took: Duration,
    ) {
        let (mut outcome, reason, failed, fetch_state) = match verdict {
            Verdict::Ack(outcome, fetch_state) => (*outcome, None, None, *fetch_state),
            Verdict::Retry { failed, .. } => {
                (DeliveryOutcome::Retry, Some(failed.reason), Some(failed), None)
            }
            Verdict::Dead { failed } => (DeliveryOutcome::Dead, Some(failed.reason), Some(failed), None),
            Verdict::Snooze { reason, .. } => (DeliveryOutcome::Snoozed, Some(*reason), None, None),
            Verdict::HandBack => (DeliveryOutcome::HandedBack, None, None, None),
            Verdict::LeaseLost => (DeliveryOutcome::LeaseLost, None, None, None),
        };
        let mut error = failed.map(|failed| failed.error.clone());
        match settled {
            Ok(Settled::Done) => {}
            Ok(Settled::LeaseLost) => outcome = DeliveryOutcome::LeaseLost,
            Err(source) => error = Some(format!("could not settle: {}", chain(&source))),
        }
        context.metrics.delivery(self.family, outcome, reason, took);
        tell_storing(context, outcome, failed, self.created_ms);
        let retry_in_secs = match verdict {
            Verdict::Retry { delay, .. } | Verdict::Snooze { delay, .. } => Some(delay.as_secs_f64()),
            Verdict::Ack(..) | Verdict::Dead { .. } | Verdict::HandBack | Verdict::LeaseLost => None,
        };
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    webhook.id = self.webhook_id,
                    event.id = self.event_id,
                    event.type = self.event_type,
                    event.family = self.family.as_str(),
                    object.id = self.object_id,
                    project = self.project,
                    delivery.attempt = self.attempt,
                    delivery.entry = self.entry_id,
                    outcome = outcome.as_str(),
                    reason = reason.map(Reason::as_str),
                    fetch_state = fetch_state.map(FetchState::as_str),
                    retry_in_secs,
                    duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    http.status = failed.and_then(|failed| failed.http_status),
                    openai.request_id = failed.and_then(|failed| failed.request_id.as_deref()),
                    error,
                    $message
                )
            };
        }
        let is_redirect = failed.is_some_and(|failed| matches!(failed.http_status, Some(300..=399)));
        let needs_a_person = failed.is_some_and(|failed| failed.remedy == Remedy::RetrySlowly);
        match outcome {
            DeliveryOutcome::Dead => line!(error, "event given up"),
            DeliveryOutcome::Retry if needs_a_person && is_redirect => {
                line!(
                    error,
                    "OpenAI's API redirects us to where the API key must not go; check OPENAI_BASE_URL"
                )
            }
            DeliveryOutcome::Retry if needs_a_person => {
                line!(error, "OpenAI refuses us: mend the key, its rights or quota; then run landfall retry")
            }
            DeliveryOutcome::Snoozed if reason == Some(Reason::DiskLow) => {
                line!(warn, "downloads wait: the disk of FILES_URL is nearly full");
            }
            DeliveryOutcome::Retry | DeliveryOutcome::LeaseLost => line!(warn, "delivery failed"),
            DeliveryOutcome::Stored
            | DeliveryOutcome::Kept
            | DeliveryOutcome::AlreadyStored
            | DeliveryOutcome::Snoozed
            | DeliveryOutcome::HandedBack => line!(info, "delivery settled"),
        }
    }
}

/// What a delivery tells of the database, and how late an event is that is stored.
fn tell_storing(
    context: &Context,
    outcome: DeliveryOutcome,
    failed: Option<&Failed>,
    created_ms: Option<i64>,
) {
    if let Some(failed) = failed.filter(|failed| failed.reason == Reason::DatabaseUnavailable) {
        context.readiness.write_failed(&failed.error, failed.write_fault.unwrap_or(WriteFault::Other));
    } else if matches!(outcome, DeliveryOutcome::Stored | DeliveryOutcome::Kept) {
        context.readiness.wrote();
        context.metrics.stored_lag(created_ms.map(|ms| Utc::now().timestamp_millis() - ms));
    }
}
