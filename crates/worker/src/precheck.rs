//! Checks a delivery before it runs: an entry that keeps crashing its worker is given up, and one whose family is
//! paused is snoozed.

use std::time::Duration;

use error_text::chain;
use queue::Delivery;
use webhook::{EventState, Reason};

use crate::context::{Context, Fetching};
use crate::failure::{Failure, RetryAdvice};
use crate::job::Job;
use crate::settlement::Settlement;

/// An entry that has crashed this many workers while it ran alone is the cause.
const CRASHES_ALONE_MAX: u32 = 3;
/// Random extra delay after a pause, so that snoozed deliveries are not all due at once.
const PAUSE_SPREAD_MAX: Duration = Duration::from_secs(5);

/// Returns `Err` when the delivery should not run now.
pub(crate) async fn precheck(
    context: &Context,
    job: &Job<'_>,
    delivery: &Delivery,
) -> Result<(), Settlement> {
    if delivery.crashes_alone >= CRASHES_ALONE_MAX {
        return Err(give_up_crashed(context, job, delivery).await);
    }
    match context.fetching {
        Fetching::Off => Ok(()),
        Fetching::With(_) => snooze_if_paused(context, job, delivery).await,
    }
}

async fn give_up_crashed(context: &Context, job: &Job<'_>, delivery: &Delivery) -> Settlement {
    // A worker that crashes immediately has not written the event's row yet.
    if let Err(error) = context.store.record_delivery(&job.new_event(), job.attempt).await {
        return Settlement::Fail(Failure::of_store(&error));
    }
    let error = format!(
        "the worker crashed {} times while it processed this event, {} of them while it ran alone; last error: {}",
        delivery.crashes,
        delivery.crashes_alone,
        delivery.last_error.as_deref().unwrap_or("none")
    );
    Settlement::Fail(Failure::new(Reason::Crashed, error, RetryAdvice::GiveUp))
}

/// Snoozes a delivery that was read just before its family was paused. Not an attempt.
async fn snooze_if_paused(context: &Context, job: &Job<'_>, delivery: &Delivery) -> Result<(), Settlement> {
    let Some(left) = delivery.paused_for() else { return Ok(()) };
    match context.store.record_delivery(&job.new_event(), job.attempt - 1).await {
        Ok(before) if before == EventState::Stored && !job.is_forced() => {
            return Err(Settlement::already_stored());
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(
            webhook.id = job.entry.webhook_id,
            error = chain(&error),
            "could not record that the event is paused"
        ),
    }
    let error = format!("OpenAI asked to wait; paused for {left:?}");
    let delay = left + PAUSE_SPREAD_MAX.min(left / 4).mul_f64(fastrand::f64());
    Err(Settlement::Fail(Failure::new(Reason::RateLimited, error, RetryAdvice::Snooze(delay))))
}
