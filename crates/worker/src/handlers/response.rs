//! `response.*`: one GET, one row with the text, its citations and its usage; then the files that its code interpreter
//! made.

use bytes::Bytes;
use openai_client::{BodyReservation, Client, Response};
use store::{ResponseFile, ResponseRecord, ResultPayload};
use webhook::{FetchState, NotificationType};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::embedded_images::{self, ImageOwner};
use crate::handlers::fetch::{self, Found, Wanted};
use crate::handlers::{raw_object, response_files};
use crate::job::Job;
use crate::settlement::{Effect, Write};

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    if let Some((record, files)) = response_files::begun(context, job, id).await? {
        return with_files(context, job, record, files).await;
    }
    let call = |client: Client| async move { client.response(id).await };
    let mut found = fetch::object(context, job, Wanted::Always("response"), call, Response::parse).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, job, "response", status).await?;
    found.raw = match without_images(context, job, id, &found).await? {
        Some(column) => Some(raw_object::with_references(context, job, id, (&found, column)).await?),
        None => raw_object::for_column(context, job, id, &found).await?,
    };
    let (state, reason, reservation) = (found.state, found.reason, std::mem::take(&mut found.reservation));
    let files = std::mem::take(&mut found.object.container_files);
    let mut record = record(job, id, found, terminal)?;
    if state == FetchState::Fetched && !files.is_empty() {
        let files = response_files::named(job, id, files);
        let files = response_files::begin(context, job, &record, &files).await?;
        // The object is stored, and its files take time.
        record.raw = None;
        drop(reservation);
        return with_files(context, job, record, files).await;
    }
    let kind = NotificationType::ResponseStored;
    let completion = context.outbox.completion(job, kind, reason, || ResultPayload::of_row(&record));
    Ok(Write {
        effect: Effect::Response(Box::new(record)),
        completion,
        fetch_state: Some(state),
        reservation,
    })
}

/// Stores the images of a response, and returns the object with references to them; `None` if it contains none.
async fn without_images(
    context: &Context,
    job: &Job<'_>,
    id: &str,
    found: &Found<Response>,
) -> Result<Option<Bytes>, HandlerError> {
    // An embedded object is already in `events.body`.
    let Some(raw) = found.raw.as_ref().filter(|_| found.fetched_at.is_some()) else { return Ok(None) };
    let project = &job.entry.project;
    let owner = ImageOwner { project, object_id: id, line: None, progress: &job.progress };
    let column = embedded_images::store(context, owner, (&found.object.images, raw)).await?;
    Ok(column.map(Bytes::from))
}

/// Fetches the files of a stored response. What remains to be written is its event.
async fn with_files(
    context: &Context,
    job: &Job<'_>,
    record: ResponseRecord,
    mut files: Vec<ResponseFile>,
) -> Result<Write, HandlerError> {
    if let Some(client) = fetch::client(context, job)? {
        response_files::fetch(context, job, &client, &mut files).await?;
    }
    let kind = NotificationType::ResponseStored;
    let result = || ResultPayload::of_response(&record, &files);
    let completion = context.outbox.completion(job, kind, None, result);
    Ok(Write {
        effect: Effect::EventOnly,
        completion,
        fetch_state: Some(FetchState::Fetched),
        reservation: BodyReservation::default(),
    })
}

fn record(
    job: &Job<'_>,
    id: &str,
    found: Found<Response>,
    terminal: bool,
) -> Result<ResponseRecord, HandlerError> {
    let Found { object, raw, state, fetched_at, .. } = found;
    let citations = serde_json::to_string(&object.citations).map_err(HandlerError::BadAnswer)?;
    Ok(ResponseRecord {
        project: job.entry.project.clone(),
        response_id: id.to_owned(),
        status: object.status,
        model: object.model,
        output_text: object.has_output.then_some(object.output_text),
        citations: object.has_output.then_some(citations),
        usage: object.usage,
        input_tokens: object.tokens.input,
        output_tokens: object.tokens.output,
        cached_tokens: object.tokens.cached,
        cache_write_tokens: object.tokens.cache_write,
        reasoning_tokens: object.tokens.reasoning,
        tool_usage: object.tool_usage,
        service_tier: object.service_tier,
        conversation_id: object.conversation_id,
        previous_response_id: object.previous_response_id,
        error: object.error,
        metadata: object.metadata,
        incomplete_reason: object.incomplete_reason,
        created_at: object.created_at,
        // Only newer objects have the field; otherwise the event's time is used, because it is sent when the response
        // ends.
        completed_at: object.completed_at.or_else(|| terminal.then(|| job.created_at()).flatten()),
        received_at: job.received_at(),
        fetch_state: state.into(),
        fetched_at,
        terminal,
        raw: raw.map(Vec::from),
    })
}
