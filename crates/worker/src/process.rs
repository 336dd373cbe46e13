//! Runs one delivery to its end: the only place that settles deliveries, and the one log line each of them gets.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures_util::FutureExt as _;
use queue::{Delivery, EntryError, QueueError, Settled};
use service::telemetry::chain;
use store::Failure;
use tokio_util::sync::CancellationToken;
use webhook::{EventState, Family, FetchState, Reason, closed_set};

use crate::context::Context;
use crate::handlers::{self, HandlerError, Outcome, Remedy};
use crate::work::Work;

/// An entry whose lease ran out this often takes its worker down with it.
const CRASHES_MAX: u32 = 5;
/// How long an entry of a newer format waits for a newer worker before it is looked at again.
const NEWER_FORMAT_DELAY: Duration = Duration::from_secs(15);
/// Everything but batches is a few requests; a handler that takes longer is stuck.
const HANDLER_DEADLINE: Duration = Duration::from_secs(600);
/// A batch's files have no upper size; their downloads have an idle time-out of their own.
const BATCH_DEADLINE: Duration = Duration::from_secs(6 * 3600);

closed_set! {
    /// How a delivery ended: the log field and metric label `outcome`.
    pub(crate) enum DeliveryOutcome {
        /// The object and the event are stored.
        Stored => "stored",
        /// Nothing to fetch; the event is stored.
        Kept => "kept",
        /// A crash between commit and ack: nothing was left to do.
        AlreadyStored => "already_stored",
        Retry => "retry",
        /// Put back without costing an attempt.
        Snoozed => "snoozed",
        HandedBack => "handed_back",
        Dead => "dead",
        /// Another worker has it now.
        LeaseLost => "lease_lost",
    }
}

/// What to do with a delivery.
enum Verdict {
    Ack(DeliveryOutcome, Option<FetchState>),
    Retry { delay: Duration, failed: Failed },
    Dead { failed: Failed },
    Snooze { delay: Duration, reason: Reason },
    HandBack,
    LeaseLost,
}

/// A failed attempt, ready to be recorded and logged.
struct Failed {
    reason: Reason,
    /// The whole cause chain.
    error: String,
    remedy: Remedy,
    http_status: Option<u16>,
    request_id: Option<String>,
}

/// Runs one delivery to its end. `hand_back` fires when a stopping worker can wait no longer.
pub(crate) async fn process(
    context: &Context,
    family: Family,
    delivery: Delivery,
    hand_back: &CancellationToken,
) {
    let started = Instant::now();
    let line = LogLine::new(family, &delivery);
    let verdict = judge(context, &delivery, hand_back).await;
    let settled = match &verdict {
        Verdict::Ack(..) => delivery.ack().await,
        Verdict::Retry { delay, failed } => delivery.retry_after(*delay, failed.reason, &failed.error).await,
        Verdict::Dead { failed } => delivery.dead_letter(failed.reason, &failed.error).await,
        Verdict::Snooze { delay, .. } => delivery.snooze(*delay).await,
        Verdict::HandBack => delivery.hand_back().await,
        // Unsettled on purpose: it is no longer ours.
        Verdict::LeaseLost => Ok(Settled::LeaseLost),
    };
    line.write(context, &verdict, settled, started.elapsed());
}

async fn judge(context: &Context, delivery: &Delivery, hand_back: &CancellationToken) -> Verdict {
    let entry = match &delivery.content {
        Ok(entry) => entry,
        Err(EntryError::NewerVersion { .. }) => {
            return Verdict::Snooze { delay: NEWER_FORMAT_DELAY, reason: Reason::NewerFormat };
        }
        Err(error) => {
            return Verdict::Dead { failed: Failed::new(Reason::UndecodableEntry, chain(error)) };
        }
    };
    let work = Work::new(entry, delivery.attempt);
    if delivery.crashes >= CRASHES_MAX {
        let error =
            delivery.last_error.clone().unwrap_or_else(|| "the lease ran out again and again".to_owned());
        return after_failure(context, &work, Failed::new(Reason::Crashed, error)).await;
    }
    let deadline = if work.family() == Family::Batch { BATCH_DEADLINE } else { HANDLER_DEADLINE };
    let running = AssertUnwindSafe(tokio::time::timeout(deadline, attempt(context, &work))).catch_unwind();
    let failed = tokio::select! {
        biased;
        () = delivery.lease_lost().cancelled_owned() => return Verdict::LeaseLost,
        () = hand_back.cancelled() => return Verdict::HandBack,
        ended = running => match ended {
            Ok(Ok(Ok(done))) => return done,
            Ok(Ok(Err(error))) => Failed::from(&error),
            Ok(Err(_elapsed)) => Failed::retryable(Reason::TimedOut, format!("not done after {deadline:?}")),
            Err(_panic) => Failed::retryable(Reason::HandlerPanicked, "the handler panicked".to_owned()),
        },
    };
    after_failure(context, &work, failed).await
}

/// One attempt: the event's row first, so that nothing that reached a worker is invisible, then its handler.
async fn attempt(context: &Context, work: &Work<'_>) -> Result<Verdict, HandlerError> {
    let before = context.store.record_delivery(&work.new_event(), work.attempt).await?;
    if before == EventState::Stored && work.entry.replay_of.is_none() {
        return Ok(Verdict::Ack(DeliveryOutcome::AlreadyStored, None));
    }
    Ok(match handlers::dispatch(context, work).await? {
        Outcome::Stored(fetch_state) => Verdict::Ack(DeliveryOutcome::Stored, Some(fetch_state)),
        Outcome::Kept => Verdict::Ack(DeliveryOutcome::Kept, None),
    })
}

/// Decides between another attempt and the dead letters, and writes it to the event's row. The row comes first: an
/// event is not given up while the database cannot say so.
async fn after_failure(context: &Context, work: &Work<'_>, mut failed: Failed) -> Verdict {
    if context.retry.is_over(work.received_at(), Utc::now()) && failed.remedy != Remedy::GiveUp {
        failed.error =
            format!("given up after {:?}; last error: {}", context.retry.give_up_after, failed.error);
        (failed.reason, failed.remedy) = (Reason::GaveUp, Remedy::GiveUp);
    }
    let failure = Failure {
        project: work.entry.project.clone(),
        webhook_id: work.entry.webhook_id.clone(),
        attempts: work.attempt,
        state: if failed.remedy == Remedy::GiveUp { EventState::Dead } else { EventState::Retrying },
        reason: failed.reason,
        error: failed.error.clone(),
    };
    let delay = match failed.remedy {
        Remedy::Retry => context.retry.delay(work.attempt),
        Remedy::RetryAfter(delay) => delay,
        Remedy::RetrySlowly => context.retry.max,
        Remedy::GiveUp => match context.store.fail_event(&failure).await {
            Ok(()) => return Verdict::Dead { failed },
            Err(error) => {
                failed = Failed::retryable(error.reason(), chain(&error));
                return Verdict::Retry { delay: context.retry.delay(work.attempt), failed };
            }
        },
    };
    if let Err(error) = context.store.fail_event(&failure).await {
        tracing::warn!(
            webhook.id = failure.webhook_id,
            error = chain(&error),
            "could not record a failed attempt"
        );
    }
    Verdict::Retry { delay, failed }
}

impl Failed {
    /// A failure that no retry can help.
    fn new(reason: Reason, error: String) -> Self {
        Self { reason, error, remedy: Remedy::GiveUp, http_status: None, request_id: None }
    }

    fn retryable(reason: Reason, error: String) -> Self {
        Self { remedy: Remedy::Retry, ..Self::new(reason, error) }
    }

    fn from(error: &HandlerError) -> Self {
        let (http_status, request_id) = error.answer();
        Self {
            reason: error.reason(),
            error: chain(error),
            remedy: error.remedy(),
            http_status,
            request_id: request_id.map(str::to_owned),
        }
    }
}

/// What the log says of a delivery, taken before it is settled away.
struct LogLine {
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
    fn new(family: Family, delivery: &Delivery) -> Self {
        let entry = delivery.content.as_ref().ok();
        let work = entry.map(|entry| Work::new(entry, delivery.attempt));
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

    fn write(
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
        if matches!(outcome, DeliveryOutcome::Stored | DeliveryOutcome::Kept) {
            context.metrics.stored_lag(self.created_ms.map(|ms| Utc::now().timestamp_millis() - ms));
        }
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
        let needs_a_person = failed.is_some_and(|failed| failed.remedy == Remedy::RetrySlowly);
        match outcome {
            DeliveryOutcome::Dead => line!(error, "event given up"),
            DeliveryOutcome::Retry if needs_a_person => {
                line!(error, "OpenAI refuses us: the API key, its rights or its quota; check it")
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
