//! The log line of each delivery, and its metrics.

use std::time::Duration;

use chrono::Utc;
use error_text::chain;
use store::WriteFault;
use webhook::{Family, FetchState, Reason};

use crate::context::Context;
use crate::failure::{Failure, RetryAdvice};
use crate::job::Job;
use crate::outcome::DeliveryOutcome;
use crate::settle::Ended;

/// The fields of the log line, except how the delivery ended.
pub(crate) struct LogLine<'a> {
    pub(crate) family: Family,
    pub(crate) entry_id: &'a str,
    pub(crate) attempt: u32,
    /// `None` for an entry that cannot be decoded.
    pub(crate) job: Option<&'a Job<'a>>,
    pub(crate) took: Duration,
}

impl LogLine<'_> {
    pub(crate) fn write(self, context: &Context, ended: &Ended) {
        let Self { family, entry_id, attempt, job, took } = self;
        let Ended { outcome, reason, fetch_state, failure, retry_in, unsettled } = ended;
        let failure = failure.as_ref();
        context.metrics.delivery(family, *outcome, *reason, took);
        report_storing(context, *outcome, failure, job);
        let error = match unsettled {
            Some(source) => Some(format!("could not settle the delivery: {}", chain(source))),
            None => failure.map(|failure| failure.error.clone()),
        };
        macro_rules! line {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    webhook.id = job.map(|job| job.entry.webhook_id.as_str()),
                    event.id = job.and_then(Job::event_id),
                    event.type = job.map(|job| job.entry.event_type.as_str()),
                    event.family = family.as_str(),
                    object.id = job.and_then(Job::object_id),
                    project = job.map(|job| job.entry.project.as_str()),
                    delivery.attempt = attempt,
                    delivery.entry = entry_id,
                    outcome = outcome.as_str(),
                    reason = reason.map(Reason::as_str),
                    fetch_state = fetch_state.map(FetchState::as_str),
                    retry_in_secs = retry_in.map(|delay| delay.as_secs_f64()),
                    duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    http.status = failure.and_then(|failure| failure.http_status),
                    openai.request_id = failure.and_then(|failure| failure.request_id.as_deref()),
                    error,
                    $message
                )
            };
        }
        let is_redirect = failure.is_some_and(|failure| matches!(failure.http_status, Some(300..=399)));
        let needs_a_person = failure.is_some_and(|failure| failure.advice == RetryAdvice::RetryAtMax);
        match outcome {
            DeliveryOutcome::Dead => line!(error, "event given up"),
            DeliveryOutcome::Retry if needs_a_person && is_redirect => {
                line!(
                    error,
                    "the OpenAI API redirected to a host that must not receive the API key; check OPENAI_BASE_URL"
                )
            }
            DeliveryOutcome::Retry if needs_a_person => {
                line!(
                    error,
                    "OpenAI refused the API key; fix the key, its permissions or quota, then run landfall retry"
                )
            }
            DeliveryOutcome::Snoozed if *reason == Some(Reason::DiskLow) => {
                line!(warn, "downloads are waiting: the disk of FILES_URL is nearly full");
            }
            DeliveryOutcome::Retry | DeliveryOutcome::LeaseLost => line!(warn, "delivery failed"),
            DeliveryOutcome::Stored
            | DeliveryOutcome::StoredOnly
            | DeliveryOutcome::AlreadyStored
            | DeliveryOutcome::Snoozed
            | DeliveryOutcome::Released => line!(info, "delivery settled"),
        }
    }
}

/// Updates readiness from what the delivery shows about the database, and records the lag of a stored event.
fn report_storing(
    context: &Context,
    outcome: DeliveryOutcome,
    failure: Option<&Failure>,
    job: Option<&Job<'_>>,
) {
    if let Some(failure) = failure.filter(|failure| failure.reason == Reason::DatabaseUnavailable) {
        context.readiness.write_failed(&failure.error, failure.write_fault.unwrap_or(WriteFault::Other));
    } else if matches!(outcome, DeliveryOutcome::Stored | DeliveryOutcome::StoredOnly) {
        context.readiness.wrote();
        let created_at = job.and_then(Job::created_at);
        context.metrics.stored_lag(created_at.map(|at| (Utc::now() - at).num_milliseconds()));
    }
}
