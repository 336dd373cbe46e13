//! Runs one delivery to its end: the only place that settles deliveries.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use queue::{Delivery, EntryError, Settled};
use service::telemetry::chain;
use store::{Failure, NewNotification, TheResult};
use tokio_util::sync::CancellationToken;
use webhook::{EventState, Family, NotificationType, Reason};

use crate::context::{Context, Fetching};
use crate::delivery_log::LogLine;
use crate::handlers::{self, HandlerError, Outcome, Remedy};
use crate::isolation::{Alone, Beside};
use crate::notifications::Told;
use crate::verdict::{DeliveryOutcome, Failed, Verdict};
use crate::watchdog::{self, Limits};
use crate::work::Work;

/// After so many crashes it may be the entry that takes its worker down: it runs alone, so that no neighbour is hit.
const CRASHES_BESIDE_OTHERS_MAX: u32 = 2;
/// An entry that took so many workers down with nothing beside it is to blame.
const CRASHES_ALONE_MAX: u32 = 3;
/// How long an entry of a newer format waits for a newer worker before it is looked at again.
const NEWER_FORMAT_DELAY: Duration = Duration::from_secs(15);
/// A response or an eval run is a few requests; a handler that takes longer is stuck.
const HANDLER_DEADLINE: Duration = Duration::from_secs(600);
/// Files have no upper size, and a fine-tuning job may have many; their downloads have an idle time-out of their own.
const DOWNLOADS_DEADLINE: Duration = Duration::from_secs(6 * 3600);
/// A batch or job for which no byte comes and no row is stored for so long is stuck. Longer than the idle time-out of a
/// download, which tells more.
const STANDSTILL_MAX: Duration = Duration::from_secs(300);
/// Work met by a pause comes back up to so much later than its end, so that not all of it comes at once.
const PAUSE_SPREAD_MAX: Duration = Duration::from_secs(5);

/// Where a delivery runs.
enum Place {
    Beside(Arc<Beside>),
    Alone { _turn: Alone },
}

/// Runs one delivery to its end. `hand_back` fires when a stopping worker can wait no longer. False when Redis could not
/// be told how it ended.
pub(crate) async fn process(
    context: &Context,
    family: Family,
    delivery: Delivery,
    beside: Arc<Beside>,
    hand_back: &CancellationToken,
) -> bool {
    let started = Instant::now();
    let line = LogLine::new(context, family, &delivery);
    let (verdict, place) = match decide_unrun(context, &delivery).await {
        Some(verdict) => (verdict, Some(Place::Beside(beside))),
        None => match take_place(context, &delivery, beside, hand_back).await {
            Ok(place) => (run(context, &delivery, &place, hand_back).await, Some(place)),
            Err(verdict) => (verdict, None),
        },
    };
    pause_others(context, &delivery, &verdict).await;
    let settled = match &verdict {
        Verdict::Ack(..) => delivery.ack().await,
        Verdict::Retry { delay, failed } => delivery.retry_after(*delay, failed.reason, &failed.error).await,
        Verdict::Dead { failed } => {
            let (reason, expires) = (failed.reason, failed.file_expires_ms);
            delivery.dead_letter_of_file(reason, &failed.error, expires).await
        }
        Verdict::Snooze { delay, .. } => delivery.snooze(*delay).await,
        Verdict::HandBack => delivery.hand_back().await,
        // Unsettled on purpose: it is no longer ours.
        Verdict::LeaseLost => Ok(Settled::LeaseLost),
    };
    // Not before it is settled: should a suspect take this worker down, this delivery has no part in it.
    drop(place);
    let is_settled = settled.is_ok();
    line.write(context, &verdict, settled, started.elapsed());
    is_settled
}

/// What is decided without running anything.
async fn decide_unrun(context: &Context, delivery: &Delivery) -> Option<Verdict> {
    let entry = match &delivery.content {
        Ok(entry) => entry,
        Err(EntryError::NewerVersion { .. }) => {
            return Some(Verdict::Snooze { delay: NEWER_FORMAT_DELAY, reason: Reason::NewerFormat });
        }
        Err(error) => {
            let failed = Failed::new(Reason::UndecodableEntry, chain(error));
            return Some(undecodable(context, delivery, failed).await);
        }
    };
    let work = Work::new(entry, delivery.attempt, &context.worker);
    if delivery.crashes_alone >= CRASHES_ALONE_MAX {
        // A worker that dies at once has not even written the event's row.
        if let Err(error) = context.store.record_delivery(&work.new_event(), work.attempt).await {
            let failed = Failed::retryable(error.reason(), chain(&error));
            return Some(Verdict::Retry { delay: context.retry.delay(work.attempt), failed });
        }
        let error = format!(
            "its worker died under it {} times, {} of them with nothing beside it; last error: {}",
            delivery.crashes,
            delivery.crashes_alone,
            delivery.last_error.as_deref().unwrap_or("none")
        );
        return Some(after_failure(context, &work, Failed::new(Reason::Crashed, error)).await);
    }
    match context.fetching {
        Fetching::Off => None,
        Fetching::With(_) => met_by_pause(context, delivery, &work).await,
    }
}

/// An entry that names no event has no row; who is to be told is written all the same, and first.
async fn undecodable(context: &Context, delivery: &Delivery, failed: Failed) -> Verdict {
    let told = context.outbox.of_undecodable(&delivery.entry_id, &failed.error);
    match context.store.add_notifications(&told).await {
        Ok(()) => {
            context.outbox.wake();
            Verdict::Dead { failed }
        }
        Err(error) => {
            let failed = Failed::retryable(error.reason(), chain(&error));
            Verdict::Retry { delay: context.retry.delay(delivery.attempt), failed }
        }
    }
}

/// Work that was read just before its family was paused: put back until the end of the pause, not an attempt. Its row
/// says why it waits.
async fn met_by_pause(context: &Context, delivery: &Delivery, work: &Work<'_>) -> Option<Verdict> {
    // When Redis does not say, the attempt itself will tell.
    let left = delivery.paused_for().await.ok().flatten()?;
    let attempts = work.attempt - 1;
    let failure = Failure {
        project: work.entry.project.clone(),
        webhook_id: work.entry.webhook_id.clone(),
        attempts,
        state: EventState::Retrying,
        reason: Reason::RateLimited,
        error: format!("OpenAI asked to wait; paused for {left:?}"),
        attempt: None,
        notifications: Vec::new(),
    };
    let recorded = async {
        let before = context.store.record_delivery(&work.new_event(), attempts).await?;
        context.store.fail_event(&failure).await.map(|()| before)
    };
    match recorded.await {
        Ok(before) if before == EventState::Stored && work.entry.replay_of.is_none() => {
            return Some(Verdict::Ack(DeliveryOutcome::AlreadyStored, None));
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(
            webhook.id = failure.webhook_id,
            error = chain(&error),
            "could not record that an event is paused"
        ),
    }
    let delay = left + PAUSE_SPREAD_MAX.min(left / 4).mul_f64(fastrand::f64());
    Some(Verdict::Snooze { delay, reason: Reason::RateLimited })
}

/// After a 429 nobody asks for this project's family until OpenAI wants to be asked again.
async fn pause_others(context: &Context, delivery: &Delivery, verdict: &Verdict) {
    let Verdict::Retry { delay, failed } = verdict else { return };
    if failed.reason != Reason::RateLimited {
        return;
    }
    // Not longer than between two retries: one answer must not stop a family for a day.
    let wanted = (*delay).min(context.retry.max);
    match delivery.pause(wanted, failed.reason).await {
        Ok(left) => tracing::warn!(
            project = delivery.content.as_ref().ok().map(|entry| entry.project.as_str()),
            paused_secs = left.as_secs_f64(),
            "OpenAI's rate limit: all workers leave this family alone for a while"
        ),
        Err(error) => {
            tracing::warn!(error = chain(&error), "could not tell the other workers of OpenAI's rate limit");
        }
    }
}

/// Where the delivery may run: beside others, or, under suspicion, alone.
async fn take_place(
    context: &Context,
    delivery: &Delivery,
    beside: Arc<Beside>,
    hand_back: &CancellationToken,
) -> Result<Place, Verdict> {
    if delivery.crashes < CRASHES_BESIDE_OTHERS_MAX {
        return Ok(Place::Beside(beside));
    }
    tracing::warn!(
        delivery.entry = delivery.entry_id,
        crashes = delivery.crashes,
        crashes_alone = delivery.crashes_alone,
        "its worker died under it again and again: it runs alone, this worker takes nothing else meanwhile"
    );
    drop(beside);
    let alone = tokio::select! {
        biased;
        () = delivery.lease_lost().cancelled_owned() => return Err(Verdict::LeaseLost),
        () = hand_back.cancelled() => return Err(Verdict::HandBack),
        alone = context.isolation.alone() => alone,
    };
    match delivery.begin_alone().await {
        Ok(Settled::Done) => Ok(Place::Alone { _turn: alone }),
        Ok(Settled::LeaseLost) => Err(Verdict::LeaseLost),
        // A crash that is not counted could come for ever.
        Err(error) => {
            tracing::warn!(error = chain(&error), "cannot note that an entry runs alone");
            Err(Verdict::HandBack)
        }
    }
}

async fn run(
    context: &Context,
    delivery: &Delivery,
    place: &Place,
    hand_back: &CancellationToken,
) -> Verdict {
    let Ok(entry) = &delivery.content else { return Verdict::HandBack };
    let mut work = Work::new(entry, delivery.attempt, &context.worker);
    work.last_error = delivery.last_error.as_deref();
    let limits = if matches!(work.family(), Family::Batch | Family::FineTuning) {
        Limits { total: DOWNLOADS_DEADLINE, standstill: STANDSTILL_MAX }
    } else {
        // A few requests, each with a time-out of its own: they need not tell of their progress.
        Limits { total: HANDLER_DEADLINE, standstill: HANDLER_DEADLINE }
    };
    let attempt = watchdog::watch(limits, &work.progress, attempt(context, &work));
    let mut failed = tokio::select! {
        biased;
        () = delivery.lease_lost().cancelled_owned() => return Verdict::LeaseLost,
        () = hand_back.cancelled() => return Verdict::HandBack,
        () = place.make_way() => return Verdict::HandBack,
        ended = AssertUnwindSafe(attempt).catch_unwind() => match ended {
            Ok(Ok(Ok(done))) => return done,
            Ok(Ok(Err(error))) => Failed::of(&error),
            Ok(Err(stuck)) => Failed::retryable(Reason::TimedOut, stuck.to_string()),
            Err(_panic) => Failed::retryable(Reason::HandlerPanicked, "the handler panicked".to_owned()),
        },
    };
    failed.file_expires_ms = work.progress.file_expires_ms();
    after_failure(context, &work, failed).await
}

impl Place {
    /// Ends when a suspect in this worker has waited long enough; never for the suspect itself.
    async fn make_way(&self) {
        match self {
            Self::Beside(beside) => beside.make_way().cancelled().await,
            Self::Alone { .. } => std::future::pending().await,
        }
    }
}

/// One attempt: the event's row first, so that nothing that reached a worker is invisible, then its handler.
async fn attempt(context: &Context, work: &Work<'_>) -> Result<Verdict, HandlerError> {
    // An event that is its own record is written once, by its handler.
    if !handlers::is_kept(work) {
        let before = context.store.record_delivery(&work.new_event(), work.attempt).await?;
        if before == EventState::Stored && work.entry.replay_of.is_none() {
            return Ok(Verdict::Ack(DeliveryOutcome::AlreadyStored, None));
        }
    }
    let outcome = handlers::dispatch(context, work).await?;
    context.outbox.wake();
    Ok(match outcome {
        Outcome::Stored(fetch_state) => Verdict::Ack(DeliveryOutcome::Stored, Some(fetch_state)),
        Outcome::Kept => Verdict::Ack(DeliveryOutcome::Kept, None),
    })
}

/// Who is to be told that an event is given up.
fn told_of_death(context: &Context, work: &Work<'_>, failed: &Failed) -> Vec<NewNotification> {
    let told =
        Told { kind: NotificationType::EventDead, reason: Some(failed.reason), error: Some(&failed.error) };
    context.outbox.of(work, told, || TheResult::of_body(&work.entry.body))
}

/// Decides between another attempt and the dead letters, and writes it to the event's row. The row comes first: an
/// event is not given up while the database cannot say so.
async fn after_failure(context: &Context, work: &Work<'_>, mut failed: Failed) -> Verdict {
    let may_end = !matches!(failed.remedy, Remedy::GiveUp | Remedy::Wait(_) | Remedy::Recheck);
    if may_end && context.was_tried_long_enough(work).await {
        failed.error =
            format!("given up after {:?}; last error: {}", context.retry.give_up_after, failed.error);
        (failed.reason, failed.remedy) = (Reason::GaveUp, Remedy::GiveUp);
    }
    let notifications =
        if failed.remedy == Remedy::GiveUp { told_of_death(context, work, &failed) } else { Vec::new() };
    let failure = Failure {
        project: work.entry.project.clone(),
        webhook_id: work.entry.webhook_id.clone(),
        attempts: work.attempt,
        state: if failed.remedy == Remedy::GiveUp { EventState::Dead } else { EventState::Retrying },
        reason: failed.reason,
        error: failed.error.clone(),
        attempt: match failed.remedy {
            // Nothing was tried.
            Remedy::Wait(_) => None,
            Remedy::Retry
            | Remedy::Recheck
            | Remedy::RetryAfter(_)
            | Remedy::RetrySlowly
            | Remedy::GiveUp => Some(work.attempt_so_far(failed.http_status, failed.request_id.clone())),
        },
        notifications,
    };
    let delay = match failed.remedy {
        Remedy::Retry | Remedy::Recheck => context.retry.delay(work.attempt),
        Remedy::RetryAfter(delay) | Remedy::Wait(delay) => delay,
        Remedy::RetrySlowly => context.retry.max,
        Remedy::GiveUp => match context.store.fail_event(&failure).await {
            Ok(()) => {
                context.outbox.wake();
                return Verdict::Dead { failed };
            }
            // The dead letter says what the row cannot.
            Err(error) if !error.is_retryable() => {
                tracing::error!(
                    webhook.id = failure.webhook_id,
                    error = chain(&error),
                    "could not record that an event is given up"
                );
                return Verdict::Dead { failed };
            }
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
    match failed.remedy {
        Remedy::Wait(_) => Verdict::Snooze { delay, reason: failed.reason },
        Remedy::Retry | Remedy::Recheck | Remedy::RetryAfter(_) | Remedy::RetrySlowly | Remedy::GiveUp => {
            Verdict::Retry { delay, failed }
        }
    }
}
