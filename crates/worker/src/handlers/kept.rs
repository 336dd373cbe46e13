//! Events with nothing to fetch, and events that name no object: the event itself is the record.

use crate::context::Context;
use crate::handlers::{HandlerError, Outcome};
use crate::work::Work;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    context.store.keep_event(&work.new_event(), &work.completion(None)).await?;
    Ok(Outcome::Kept)
}
