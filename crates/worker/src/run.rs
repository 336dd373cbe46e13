//! Runs one attempt: writes the event's row, so that every event that reached a worker is visible, and runs its handler.

use std::pin::pin;
use std::time::Duration;

use webhook::{EventState, Family};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers;
use crate::job::Job;
use crate::settlement::{Settlement, Write};
use crate::supervisor::Supervisor;

/// An attempt that takes longer is visible before it ends.
const RECORD_AFTER: Duration = Duration::from_secs(1);

/// Returns the write to commit. Nothing is committed yet, except the files and rows of a batch.
pub(crate) async fn run(
    context: &Context,
    job: &Job<'_>,
    supervisor: &Supervisor<'_>,
) -> Result<Write, Settlement> {
    // Boxed: it is large, and would be copied into each of the futures around it.
    supervisor.watch(job, Box::pin(attempt(context, job))).await?
}

async fn attempt(context: &Context, job: &Job<'_>) -> Result<Result<Write, Settlement>, HandlerError> {
    if is_recorded_late(context, job) {
        return recorded_when_slow(context, job).await.map(Ok);
    }
    // An event that is stored only is written once, when it is settled.
    if !handlers::is_stored_only(context, job) {
        let before = context.store.record_delivery(&job.new_event(), job.attempt).await?;
        if before == EventState::Stored && !job.is_forced() {
            return Ok(Err(Settlement::already_stored()));
        }
    }
    handlers::dispatch(context, job).await.map(Ok)
}

/// Most attempts end soon, and write the event's row when they are settled.
async fn recorded_when_slow(context: &Context, job: &Job<'_>) -> Result<Write, HandlerError> {
    let mut handled = pin!(handlers::dispatch(context, job));
    if let Ok(ended) = tokio::time::timeout(RECORD_AFTER, &mut handled).await {
        return ended;
    }
    context.group_commit.begun(job.new_event());
    handled.await
}

/// Whether the event's row is written when the attempt ends or takes long, not before it begins: for responses that no
/// worker has had before, so that there is no state to look up. While the database is down they are recorded first like
/// the others, because nothing should be fetched that cannot be stored.
pub(crate) fn is_recorded_late(context: &Context, job: &Job<'_>) -> bool {
    job.is_new()
        && job.family() == Family::Response
        && job.object_id().is_some()
        && context.readiness.database_is_up()
}
