//! What is decided about a delivery before anything runs: an entry that kept crashing its worker is given up, and one
//! whose family is paused waits.

use std::time::Duration;

use queue::Delivery;
use service::telemetry::chain;
use webhook::{EventState, Reason};

use crate::context::{Context, Fetching};
use crate::failure::{Failure, RetryAdvice};
use crate::job::Job;
use crate::settlement::Settlement;

/// An entry that took so many workers down with nothing beside it is to blame.
const CRASHES_ALONE_MAX: u32 = 3;
/// A snoozed delivery is due up to so much later than its pause ends, so that not all of them are due at once.
const PAUSE_SPREAD_MAX: Duration = Duration::from_secs(5);

/// `Err` when the delivery is not to run now.
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
    // A worker that dies at once has not even written the event's row.
    if let Err(error) = context.store.record_delivery(&job.new_event(), job.attempt).await {
        return Settlement::Fail(Failure::of_store(&error));
    }
    let error = format!(
        "its worker died under it {} times, {} of them with nothing beside it; last error: {}",
        delivery.crashes,
        delivery.crashes_alone,
        delivery.last_error.as_deref().unwrap_or("none")
    );
    Settlement::Fail(Failure::new(Reason::Crashed, error, RetryAdvice::GiveUp))
}

/// A delivery that was read just before its family was paused waits until the pause ends. Not an attempt.
async fn snooze_if_paused(context: &Context, job: &Job<'_>, delivery: &Delivery) -> Result<(), Settlement> {
    // When Redis does not answer, the attempt itself finds out.
    let Ok(Some(left)) = delivery.paused_for().await else { return Ok(()) };
    match context.store.record_delivery(&job.new_event(), job.attempt - 1).await {
        Ok(before) if before == EventState::Stored && !job.is_forced() => {
            return Err(Settlement::already_stored());
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(
            webhook.id = job.entry.webhook_id,
            error = chain(&error),
            "could not record that an event is paused"
        ),
    }
    let error = format!("OpenAI asked to wait; paused for {left:?}");
    let delay = left + PAUSE_SPREAD_MAX.min(left / 4).mul_f64(fastrand::f64());
    Err(Settlement::Fail(Failure::new(Reason::RateLimited, error, RetryAdvice::Snooze(delay))))
}
