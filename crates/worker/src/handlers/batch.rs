//! `batch.*`: the batch, then its output file **and** its error file, for every one of the four events: expired and
//! cancelled batches have paid partial results, and a completed one may have no output file at all.

use openai_client::{Batch, Client, ErrorKind};
use store::{BatchEnd, BatchRecord, ResultSource, TheResult};
use webhook::{FetchState, NotificationType, Reason};

use crate::context::Context;
use crate::handlers::batch_file::{self, BatchFile};
use crate::handlers::fetch::{self, Found};
use crate::handlers::{HandlerError, Outcome, kept, raw_object};
use crate::work::Work;

pub(super) async fn handle(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    let Some(id) = work.object_id() else {
        return kept::handle(context, work).await;
    };
    let call = |client: Client| async move { client.batch(id).await };
    let mut found = fetch::object(context, work, "batch", call, Batch::parse).await?;
    if found.state == FetchState::Fetched && !found.object.is_terminal() {
        return Err(HandlerError::not_terminal("batch", found.object.status));
    }
    found.raw = raw_object::keep(context, work, id, &found).await?;
    let (state, reason) = (found.state, found.reason);
    let record = record(work, id, found);
    let (end, reason) = match fetch::client(context, work)? {
        Some(client) if state == FetchState::Fetched => import_files(context, work, &client, &record).await?,
        _ => {
            context.store.begin_batch(&record).await?;
            (BatchEnd::NotFetched, reason)
        }
    };
    let kind = NotificationType::BatchStored;
    let result = if context.outbox.wants_result(kind) {
        TheResult::of_batch(&context.store, &record, context.outbox.full_max_bytes()).await?
    } else {
        TheResult::of_row(&record)
    };
    let completion = context.outbox.completion(work, kind, reason, || result);
    context.store.finish_batch(&record.batch_id, end, &completion).await?;
    Ok(Outcome::Stored(if end == BatchEnd::Expired { FetchState::Expired } else { state }))
}

/// Brings both files home, each from the line where the last attempt stopped.
async fn import_files(
    context: &Context,
    work: &Work<'_>,
    client: &Client,
    batch: &BatchRecord,
) -> Result<(BatchEnd, Option<Reason>), HandlerError> {
    let progress = context.store.begin_batch(batch).await?;
    if progress.results_complete {
        return Ok((BatchEnd::Complete, None));
    }
    let mut end = (BatchEnd::Complete, None);
    let mut lines = 0;
    // Those of the newest state of the batch, should this one be older.
    let files = [
        (ResultSource::Output, &progress.output_file_id, progress.output_next_line),
        (ResultSource::Error, &progress.error_file_id, progress.error_next_line),
    ];
    for (source, file_id, next_line) in files {
        let Some(file_id) = file_id else { continue };
        let file = BatchFile {
            project: &batch.project,
            batch_id: &batch.batch_id,
            source,
            file_id,
            progress: &work.progress,
        };
        match batch_file::import(context, client, file, next_line).await {
            Ok(found) => lines += found,
            Err(HandlerError::Api { source, .. }) if source.kind() == ErrorKind::NotFound => {
                // Output files live 30 days, or as little as one hour (`output_expires_after`).
                fetch::unfetched_for_good(context, work, "result file", source)?;
                end = (BatchEnd::Expired, Some(Reason::NotFound));
            }
            Err(error) => return Err(error),
        }
    }
    // A batch that was refused as a whole has requests and no files.
    if end.0 == BatchEnd::Complete
        && batch.errors.is_none()
        && batch.requests_total.is_some_and(|n| n != lines)
    {
        tracing::warn!(
            object.id = batch.batch_id,
            requests = batch.requests_total,
            lines,
            "the batch's files do not have one line a request"
        );
    }
    Ok(end)
}

fn record(work: &Work<'_>, id: &str, found: Found<Batch>) -> BatchRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    BatchRecord {
        project: work.entry.project.clone(),
        batch_id: id.to_owned(),
        terminal: object.is_terminal(),
        status: object.status,
        endpoint: object.endpoint,
        model: object.model,
        requests_total: object.requests_total,
        requests_completed: object.requests_completed,
        requests_failed: object.requests_failed,
        usage: object.usage,
        errors: object.errors,
        metadata: object.metadata,
        input_file_id: object.input_file_id,
        output_file_id: object.output_file_id,
        error_file_id: object.error_file_id,
        created_at: object.created_at,
        completed_at: object.completed_at,
        received_at: work.received_at(),
        fetch_state: state,
        fetched_at,
        raw: raw.map(Vec::from),
    }
}
