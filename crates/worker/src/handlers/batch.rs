//! `batch.*`: the batch, then its output file **and** its error file, for every one of the four events: expired and
//! cancelled batches have paid partial results, and a completed one may have no output file at all.

use std::time::Duration;

use chrono::Utc;
use openai_client::{Batch, BodyReservation, Client, ErrorKind};
use service::excerpt;
use service::telemetry::chain;
use store::{BatchEnd, BatchProgress, BatchRecord, ResultPayload, ResultSource};
use webhook::{FetchState, NotificationType, Reason};

use crate::context::Context;
use crate::failure::{HandlerError, shown_status};
use crate::handlers::batch_file::{self, BatchFile};
use crate::handlers::download::RemoteFile;
use crate::handlers::fetch::{self, Found};
use crate::handlers::raw_object;
use crate::handlers::reread::{self, Reread};
use crate::job::Job;
use crate::settlement::{Effect, Write};

/// OpenAI may say that a batch has ended before it names its files: so long they are asked for.
const UNNAMED_FILE_TIMEOUT: Duration = Duration::from_secs(12 * 60);
/// A file that is worse than what is stored may have had a bad moment.
const REREAD_ATTEMPTS_MAX: u32 = 5;

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    let call = |client: Client| async move { client.batch(id).await };
    let mut found = fetch::object(context, job, "batch", call, Batch::parse).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, job, "batch", status).await?;
    found.raw = raw_object::for_column(context, job, id, &found).await?;
    let (state, reason) = (found.state, found.reason);
    let reservation = std::mem::take(&mut found.reservation);
    let has_unnamed_file = found.object.has_unnamed_file();
    let mut record = record(job, id, found, terminal);
    let progress = context.store.begin_batch(&record).await?;
    // It is stored, and its files need room of their own.
    record.raw = None;
    drop(reservation);
    let (end, reason) = match fetch::client(context, job)? {
        Some(client) if state == FetchState::Fetched => {
            if has_unnamed_file && !progress.results_complete {
                wait_for_names(context, job, &progress, record.status.as_deref()).await?;
            }
            files(context, job, &client, (&record, &progress)).await?
        }
        _ => (BatchEnd::NotFetched, reason),
    };
    let kind = NotificationType::BatchStored;
    let result = if context.outbox.wants_result(kind) {
        ResultPayload::of_batch(&context.store, &record, context.outbox.full_max_bytes()).await?
    } else {
        ResultPayload::of_row(&record)
    };
    let completion = context.outbox.completion(job, kind, reason, || result);
    Ok(Write {
        effect: Effect::Batch { batch_id: record.batch_id, end },
        completion,
        fetch_state: Some(if end == BatchEnd::Expired { FetchState::Expired } else { state }),
        reservation: BodyReservation::default(),
    })
}

/// An error as long as the names of the batch's files may still come; after that it has the rows it has.
async fn wait_for_names(
    context: &Context,
    job: &Job<'_>,
    progress: &BatchProgress,
    status: Option<&str>,
) -> Result<(), HandlerError> {
    let now = Utc::now();
    // Kept from attempt to attempt, as long as the object does not change.
    let since = progress.fetched_at.unwrap_or(now);
    if context.retry.is_settled(since, UNNAMED_FILE_TIMEOUT, now) || context.was_tried_long_enough(job).await
    {
        tracing::warn!(
            object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
            "the batch's counts speak of lines in a file that it still does not name; it is stored without them"
        );
        return Ok(());
    }
    Err(HandlerError::FileNotNamed { status: shown_status(status) })
}

/// Brings both files home, each from the line where the last attempt stopped; or reads them again when a person asks for
/// it, and what is stored is not as it should be.
async fn files(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    (batch, progress): (&BatchRecord, &BatchProgress),
) -> Result<(BatchEnd, Option<Reason>), HandlerError> {
    let is_in_doubt = progress.is_mismatch || progress.rows_quarantined > 0 || !progress.results_complete;
    let rereads = job.is_forced() && is_in_doubt;
    if progress.results_complete && !rereads {
        return Ok((BatchEnd::Complete, None));
    }
    let (mut lines, mut is_same, mut is_deleted) = (Some(0), true, false);
    // Those of the newest state of the batch, should this one be older.
    let files = [
        (ResultSource::Output, &progress.output_file_id, progress.output_next_line),
        (ResultSource::Error, &progress.error_file_id, progress.error_next_line),
    ];
    for (source, file_id, next_line) in files {
        let Some(file_id) = file_id else { continue };
        let remote = RemoteFile {
            project: &batch.project,
            object_id: &batch.batch_id,
            file_id,
            progress: &job.progress,
        };
        let file = BatchFile { remote, source, next_line };
        let imported = match rereads {
            false => batch_file::import(context, client, file).await.map(FileImport::Lines),
            true => reread_or_import(context, client, job, file, progress.results_complete).await,
        };
        match imported {
            Ok(FileImport::Lines(found)) => {
                (lines, is_same) = (lines.map(|lines| lines + found), false);
            }
            Ok(FileImport::Same) => lines = None,
            Ok(FileImport::Different) => (lines, is_same) = (None, false),
            Err(HandlerError::Api { source, .. }) if source.kind() == ErrorKind::NotFound => {
                // Output files live 30 days, or as little as one hour (`output_expires_after`).
                fetch::unfetched_for_good(context, job, "result file", source)?;
                is_deleted = true;
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(lines) = lines.filter(|_| !is_deleted) {
        warn_of_mismatch(batch, lines);
    }
    Ok(match (is_deleted, progress.results_complete) {
        // It will not come again: there is no more to be had than what is stored.
        (true, true) => (BatchEnd::Confirmed, Some(Reason::NotFound)),
        (true, false) => (BatchEnd::Expired, Some(Reason::NotFound)),
        (false, true) if is_same => (BatchEnd::Confirmed, None),
        (false, _) => (BatchEnd::Complete, None),
    })
}

/// What became of one file.
enum FileImport {
    /// It was imported; so many lines.
    Lines(i64),
    /// It was read again, and is what is stored.
    Same,
    /// It was read again, and is another one; or is worse, and was left alone.
    Different,
}

/// A file of which nothing is stored yet is imported as usual.
async fn reread_or_import(
    context: &Context,
    client: &Client,
    job: &Job<'_>,
    file: BatchFile<'_>,
    is_complete: bool,
) -> Result<FileImport, HandlerError> {
    let RemoteFile { project, object_id, file_id, .. } = file.remote;
    let old = context.store.file_of(project, object_id, file_id).await?;
    if old.is_none() && file.next_line == 1 {
        return batch_file::import(context, client, file).await.map(FileImport::Lines);
    }
    match reread::file(context, client, file, old.as_ref(), is_complete).await {
        Ok(Reread::Same) => Ok(FileImport::Same),
        Ok(Reread::Replaced) => Ok(FileImport::Different),
        Err(error @ HandlerError::FewerLines { .. }) if is_complete && job.attempt >= REREAD_ATTEMPTS_MAX => {
            tracing::warn!(
                object.id = excerpt(object_id).as_ref(),
                "{}; what is stored stays as it is",
                chain(&error)
            );
            Ok(FileImport::Different)
        }
        Err(error) => Err(error),
    }
}

fn warn_of_mismatch(batch: &BatchRecord, lines: i64) {
    // A batch that was refused as a whole has requests and no files.
    if batch.errors.is_none() && batch.requests_total.is_some_and(|n| n != lines) {
        tracing::warn!(
            object.id = excerpt(&batch.batch_id).as_ref(),
            requests = batch.requests_total,
            lines,
            "the batch's files do not have one line a request"
        );
    }
}

fn record(job: &Job<'_>, id: &str, found: Found<Batch>, terminal: bool) -> BatchRecord {
    let Found { object, raw, state, fetched_at, .. } = found;
    BatchRecord {
        project: job.entry.project.clone(),
        batch_id: id.to_owned(),
        terminal,
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
        received_at: job.received_at(),
        fetch_state: state.into(),
        fetched_at,
        raw: raw.map(Vec::from),
    }
}
