//! Events with nothing to fetch, and events that name no object: the event itself is the record.

use store::TheResult;
use webhook::NotificationType;

use crate::context::Context;
use crate::handlers::{HandlerError, Outcome};
use crate::work::Work;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    let result = || TheResult::of_body(&work.entry.body);
    let completion = context.outbox.completion(work, NotificationType::EventReceived, None, result);
    context.store.keep_event(&work.new_event(), &completion).await?;
    Ok(Outcome::Kept)
}
