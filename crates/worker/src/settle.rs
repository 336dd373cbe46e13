//! Settles deliveries: the only place that commits an event's effect or failure, and the only one that acknowledges to
//! the queue. The database is always written first.

use std::time::Duration;

use error_text::chain;
use queue::{Delivery, EntryError, QueueError, Settled};
use store::{Completion, FinishedEvent, NewNotification, ResponseRecord, ResultPayload, StoreError};
use webhook::{EventState, FetchState, FinalState, NotificationType, Reason};

use crate::context::Context;
use crate::failure::{Failure, HandlerError, RetryAdvice};
use crate::job::Job;
use crate::notifications::Trigger;
use crate::outcome::DeliveryOutcome;
use crate::settlement::{Effect, Settlement, Write};
use crate::supervisor::{Slot, Supervisor};

/// Delay before an entry of a newer format is tried again, to leave it to a newer worker.
const NEWER_FORMAT_DELAY: Duration = Duration::from_secs(15);

/// How a delivery ended, for its log line.
pub(crate) struct Ended {
    pub(crate) outcome: DeliveryOutcome,
    pub(crate) reason: Option<Reason>,
    pub(crate) fetch_state: Option<FetchState>,
    /// The failure of an attempt that is retried or given up.
    pub(crate) failure: Option<Failure>,
    pub(crate) retry_in: Option<Duration>,
    /// The outcome could not be reported to Redis.
    pub(crate) unsettled: Option<QueueError>,
}

impl Ended {
    fn new(outcome: DeliveryOutcome, settled: Result<Settled, QueueError>) -> Self {
        let (outcome, unsettled) = match settled {
            Ok(Settled::Done) => (outcome, None),
            Ok(Settled::LeaseLost) => (DeliveryOutcome::LeaseLost, None),
            Err(error) => (outcome, Some(error)),
        };
        Self { outcome, reason: None, fetch_state: None, failure: None, retry_in: None, unsettled }
    }

    fn because_of(self, failure: Failure) -> Self {
        Self { reason: Some(failure.reason), failure: Some(failure), ..self }
    }
}

/// Commits the write, then acknowledges; without a write, records the failure, then retries, snoozes or dead-letters.
pub(crate) async fn settle(
    context: &Context,
    job: &Job<'_>,
    delivery: Delivery,
    supervisor: &mut Supervisor<'_>,
    attempted: Result<Write, Settlement>,
) -> Ended {
    let slot = supervisor.take_slot();
    let settlement = match attempted {
        Ok(write) => {
            supervisor.watch(job, commit(context, job, write, slot)).await.unwrap_or_else(|early| early)
        }
        Err(settlement) => settlement,
    };
    match settlement {
        Settlement::Ack { outcome, fetch_state } => {
            let state = final_state(context, job, outcome, fetch_state).await;
            Ended { fetch_state, ..Ended::new(outcome, context.group_ack.ack(delivery, state).await) }
        }
        Settlement::Fail(failure) => fail(context, job, delivery, failure).await,
        Settlement::Release => Ended::new(DeliveryOutcome::Released, delivery.release().await),
        Settlement::LeaseLost => Ended::new(DeliveryOutcome::LeaseLost, Ok(Settled::LeaseLost)),
    }
}

/// Undecodable entries have no event row, but their dead-letter notifications are still written, before the entry is
/// dead-lettered.
pub(crate) async fn settle_undecodable(context: &Context, delivery: Delivery, error: &EntryError) -> Ended {
    if let EntryError::NewerVersion { .. } = error {
        return snooze(delivery, NEWER_FORMAT_DELAY, Reason::NewerFormat).await;
    }
    let failure = Failure::new(Reason::UndecodableEntry, chain(error), RetryAdvice::GiveUp);
    let notifications = context.outbox.of_undecodable(&delivery.entry_id, &failure.error);
    match context.store.add_notifications(&notifications).await {
        Ok(()) => {
            context.outbox.wake();
            dead_letter(delivery, failure, None).await
        }
        Err(error) => {
            let delay = context.retry.delay(delivery.attempt);
            retry(delivery, delay, Failure::of_store(&error)).await
        }
    }
}

/// Responses, and events that are stored only, are small and many: they are committed in groups, and the next delivery
/// may run meanwhile. The other effects have a transaction each.
async fn commit(
    context: &Context,
    job: &Job<'_>,
    write: Write,
    slot: Option<Slot>,
) -> Result<Settlement, HandlerError> {
    let Write { effect, completion, fetch_state, reservation } = write;
    let store = &context.store;
    match effect {
        Effect::Response(response) => commit_in_group(context, job, Some(response), completion, slot).await?,
        Effect::EventOnly => commit_in_group(context, job, None, completion, slot).await?,
        Effect::Batch { batch_id, end } => store.finish_batch(&batch_id, end, &completion).await?,
        Effect::FineTuning(fine_tuning) => store.save_fine_tuning(&fine_tuning, &completion).await?,
        Effect::EvalRun(run) => store.save_eval_run(&run, &completion).await?,
        Effect::SafetyAlert(alert) => store.save_safety_alert(&alert, &completion).await?,
        Effect::Agent(agent) => store.save_agent(&agent, &completion).await?,
    }
    drop(reservation);
    context.outbox.wake();
    let outcome = fetch_state.map_or(DeliveryOutcome::StoredOnly, |_| DeliveryOutcome::Stored);
    Ok(Settlement::Ack { outcome, fetch_state })
}

async fn commit_in_group(
    context: &Context,
    job: &Job<'_>,
    response: Option<Box<ResponseRecord>>,
    mut completion: Completion,
    slot: Option<Slot>,
) -> Result<(), StoreError> {
    let slot = context.early.send(job, &mut completion, slot).await;
    let finished = FinishedEvent { event: job.new_event(), response, completion };
    let written = context.group_commit.add(finished).await;
    drop(slot);
    written.wait().await
}

/// What to announce of a delivery that is done. One that was committed before a crash has not fetched anything now.
async fn final_state(
    context: &Context,
    job: &Job<'_>,
    outcome: DeliveryOutcome,
    fetch_state: Option<FetchState>,
) -> FinalState {
    let fetch_state = match (outcome, job.object_id()) {
        (DeliveryOutcome::AlreadyStored, Some(id)) => {
            let progress = context.store.fetch_progress(&job.entry.project, job.family(), id).await;
            // Readers of a change read the row, so the ack need not wait for the database.
            progress.ok().flatten().and_then(|progress| progress.fetch_state.known())
        }
        _ => fetch_state,
    };
    fetch_state.map_or(FinalState::Stored, FinalState::from)
}

/// Decides between a retry and the dead letters, and records it in the event's row. The row comes first: an event is
/// only given up when the database has recorded it.
async fn fail(context: &Context, job: &Job<'_>, delivery: Delivery, failure: Failure) -> Ended {
    let failure = give_up_if_over(context, job, failure).await;
    let recorded = record_failure(context, job, &failure).await;
    let webhook_id = job.entry.webhook_id.as_str();
    let delay = match (failure.advice, &recorded) {
        (RetryAdvice::GiveUp, Err(error)) if error.is_retryable() => {
            return retry(delivery, context.retry.delay(job.attempt), Failure::of_store(error)).await;
        }
        (RetryAdvice::GiveUp, _) => {
            // The dead letter has the error that the row lacks.
            if let Err(error) = &recorded {
                let error = chain(error);
                tracing::error!(
                    webhook.id = webhook_id,
                    error,
                    "could not record that the event is given up"
                );
            }
            context.outbox.wake();
            return dead_letter(delivery, failure, job.progress.file_expires_ms()).await;
        }
        (RetryAdvice::Retry | RetryAdvice::Recheck, _) => context.retry.delay(job.attempt),
        (
            RetryAdvice::RetryAfter(delay) | RetryAdvice::RecheckAfter(delay) | RetryAdvice::Snooze(delay),
            _,
        ) => delay,
        (RetryAdvice::RetryAtMax, _) => context.retry.max,
    };
    if let Err(error) = &recorded {
        tracing::warn!(webhook.id = webhook_id, error = chain(error), "could not record the failed attempt");
    }
    if let RetryAdvice::Snooze(_) = failure.advice {
        return snooze(delivery, delay, failure.reason).await;
    }
    pause_family(context, job, &delivery, (delay, failure.reason)).await;
    retry(delivery, delay, failure).await
}

async fn give_up_if_over(context: &Context, job: &Job<'_>, failure: Failure) -> Failure {
    let may_end = match failure.advice {
        RetryAdvice::Retry | RetryAdvice::RetryAfter(_) | RetryAdvice::RetryAtMax => true,
        RetryAdvice::Recheck
        | RetryAdvice::RecheckAfter(_)
        | RetryAdvice::Snooze(_)
        | RetryAdvice::GiveUp => false,
    };
    if !may_end || !context.was_tried_long_enough(job).await {
        return failure;
    }
    let error = format!("given up after {:?}; last error: {}", context.retry.give_up_after, failure.error);
    Failure { error, reason: Reason::GaveUp, advice: RetryAdvice::GiveUp, ..failure }
}

async fn record_failure(context: &Context, job: &Job<'_>, failure: &Failure) -> Result<(), StoreError> {
    let row = failure_row(context, job, failure);
    if job.is_new() {
        context.store.record_delivery(&job.new_event(), row.attempts).await?;
    }
    context.store.fail_event(&row).await
}

/// The failure for the event's row, with notifications if the event is given up.
fn failure_row(context: &Context, job: &Job<'_>, failure: &Failure) -> store::Failure {
    let is_dead = failure.advice == RetryAdvice::GiveUp;
    // A snooze is not an attempt.
    let is_attempt = !matches!(failure.advice, RetryAdvice::Snooze(_));
    store::Failure {
        project: job.entry.project.clone(),
        webhook_id: job.entry.webhook_id.clone(),
        attempts: job.attempt - u32::from(!is_attempt),
        state: if is_dead { EventState::Dead } else { EventState::Retrying },
        reason: failure.reason,
        error: failure.error.clone(),
        attempt: is_attempt.then(|| job.attempt_so_far(failure.http_status, failure.request_id.clone())),
        notifications: if is_dead { dead_letter_notifications(context, job, failure) } else { Vec::new() },
    }
}

fn dead_letter_notifications(context: &Context, job: &Job<'_>, failure: &Failure) -> Vec<NewNotification> {
    let trigger = Trigger {
        kind: NotificationType::EventDead,
        reason: Some(failure.reason),
        error: Some(&failure.error),
    };
    context.outbox.of(job, trigger, || ResultPayload::of_body(&job.entry.body))
}

/// After a 429, pauses this project's family for all workers until OpenAI accepts requests again.
async fn pause_family(
    context: &Context,
    job: &Job<'_>,
    delivery: &Delivery,
    (delay, reason): (Duration, Reason),
) {
    if reason != Reason::RateLimited {
        return;
    }
    // Not longer than the longest retry delay: one response must not stop a family for a day.
    match delivery.pause(delay.min(context.retry.max), reason).await {
        Ok(left) => tracing::warn!(
            project = job.entry.project,
            paused_secs = left.as_secs_f64(),
            "rate limited by OpenAI; the family is paused for all workers"
        ),
        Err(error) => {
            tracing::warn!(
                error = chain(&error),
                "could not pause the family for all workers after a rate limit"
            );
        }
    }
}

async fn retry(delivery: Delivery, delay: Duration, failure: Failure) -> Ended {
    let settled = delivery.retry_after(delay, failure.reason, &failure.error).await;
    Ended { retry_in: Some(delay), ..Ended::new(DeliveryOutcome::Retry, settled).because_of(failure) }
}

async fn snooze(delivery: Delivery, delay: Duration, reason: Reason) -> Ended {
    let ended = Ended::new(DeliveryOutcome::Snoozed, delivery.snooze(delay).await);
    Ended { reason: Some(reason), retry_in: Some(delay), ..ended }
}

async fn dead_letter(delivery: Delivery, failure: Failure, file_expires_ms: Option<i64>) -> Ended {
    let settled = delivery.dead_letter(failure.reason, &failure.error, file_expires_ms).await;
    Ended::new(DeliveryOutcome::Dead, settled).because_of(failure)
}
