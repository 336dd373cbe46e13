//! `response.*`: one GET, one row with the text, its citations and its usage.

use openai_client::{Client, Response};
use store::{ResponseRecord, TheResult};
use webhook::NotificationType;

use crate::context::Context;
use crate::handlers::fetch::{self, Found};
use crate::handlers::{HandlerError, Outcome, kept, raw_object};
use crate::work::Work;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    let Some(id) = work.object_id() else {
        return kept::handle(context, work).await;
    };
    let call = |client: Client| async move { client.response(id).await };
    let mut found = fetch::object(context, work, "response", call, Response::parse).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, work, "response", status).await?;
    found.raw = raw_object::keep(context, work, id, &found).await?;
    let (state, reason) = (found.state, found.reason);
    // Not before it is stored: it may be large.
    let _room = std::mem::take(&mut found.room);
    let record = record(work, id, found, terminal)?;
    let kind = NotificationType::ResponseStored;
    let completion = context.outbox.completion(work, kind, reason, || TheResult::of_row(&record));
    context.store.save_response(&record, &completion).await?;
    Ok(Outcome::Stored(state))
}

fn record(
    work: &Work<'_>,
    id: &str,
    found: Found<Response>,
    terminal: bool,
) -> Result<ResponseRecord, HandlerError> {
    let Found { object, raw, state, fetched_at, .. } = found;
    let citations =
        serde_json::to_string(&object.citations).map_err(|e| HandlerError::BadAnswer(e.into()))?;
    Ok(ResponseRecord {
        project: work.entry.project.clone(),
        response_id: id.to_owned(),
        status: object.status,
        model: object.model,
        output_text: object.has_output.then_some(object.output_text),
        citations: object.has_output.then_some(citations),
        usage: object.usage,
        error: object.error,
        metadata: object.metadata,
        incomplete_reason: object.incomplete_reason,
        created_at: object.created_at,
        // Only the newest objects carry it; the event is sent when the response ends.
        completed_at: object.completed_at.or_else(|| terminal.then(|| work.created_at()).flatten()),
        received_at: work.received_at(),
        fetch_state: state.into(),
        fetched_at,
        terminal,
        raw: raw.map(Vec::from),
    })
}
