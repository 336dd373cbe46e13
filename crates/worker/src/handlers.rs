//! Dispatches events to handlers, one file per family. A handler returns the write that settles the event, and is
//! idempotent.

mod agent_artifacts;
mod agent_session;
mod batch;
mod batch_file;
mod batch_images;
mod batch_input;
mod batch_lines;
mod download;
mod embedded_images;
mod eval_run;
mod fetch;
mod fine_tuning;
mod fine_tuning_parts;
mod part;
mod progress_log;
mod raw_object;
mod reread;
mod response;
mod response_files;
mod safety_alert;
mod unknown_status;

use openai_client::BodyReservation;
use store::ResultPayload;
use webhook::{Family, NotificationType};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::job::Job;
use crate::settlement::{Effect, Write};

/// Whether only the event itself is stored: there is nothing to fetch, or no id to fetch it by.
pub(crate) fn is_stored_only(context: &Context, job: &Job<'_>) -> bool {
    !job.has_object() || (job.family() == Family::Eval && eval_run::is_over(context, job))
}

/// Runs the handler of the event's family.
pub(crate) async fn dispatch(context: &Context, job: &Job<'_>) -> Result<Write, HandlerError> {
    let Some(id) = job.object_id().filter(|_| !is_stored_only(context, job)) else {
        return Ok(stored_only(context, job));
    };
    match job.family() {
        Family::Response => response::handle(context, job, id).await,
        // Boxed: these futures are large, and would be copied with every response too.
        Family::Batch => Box::pin(batch::handle(context, job, id)).await,
        Family::FineTuning => Box::pin(fine_tuning::handle(context, job, id)).await,
        Family::Eval => Box::pin(eval_run::handle(context, job, id)).await,
        Family::Safety => Box::pin(safety_alert::handle(context, job, id)).await,
        Family::Agent => Box::pin(agent_session::handle(context, job, id)).await,
        Family::Realtime | Family::Other => Ok(stored_only(context, job)),
    }
}

fn stored_only(context: &Context, job: &Job<'_>) -> Write {
    let result = || ResultPayload::of_body(&job.entry.body);
    let completion = context.outbox.completion(job, NotificationType::EventReceived, None, result);
    let reservation = BodyReservation::default();
    Write { effect: Effect::EventOnly, completion, fetch_state: None, reservation }
}
