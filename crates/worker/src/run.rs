//! Runs one attempt: writes the event's row first, so that every event that reached a worker is visible, then runs its
//! handler.

use webhook::EventState;

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers;
use crate::job::Job;
use crate::settlement::{Settlement, Write};
use crate::supervisor::Supervisor;

/// Returns the write to commit. Nothing is committed yet, except the files and rows of a batch.
pub(crate) async fn run(
    context: &Context,
    job: &Job<'_>,
    supervisor: &Supervisor<'_>,
) -> Result<Write, Settlement> {
    supervisor.watch(job, attempt(context, job)).await?
}

async fn attempt(context: &Context, job: &Job<'_>) -> Result<Result<Write, Settlement>, HandlerError> {
    // An event that is stored only is written once, when it is settled.
    if !handlers::is_stored_only(job) {
        let before = context.store.record_delivery(&job.new_event(), job.attempt).await?;
        if before == EventState::Stored && !job.is_forced() {
            return Ok(Err(Settlement::already_stored()));
        }
    }
    handlers::dispatch(context, job).await.map(Ok)
}
