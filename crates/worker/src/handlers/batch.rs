//! `batch.*`: fetches the batch, then its output file **and** its error file, for each of the four events: expired and
//! cancelled batches have partial results that were paid for, and a completed one may have no output file.

use std::time::Duration;

use chrono::Utc;
use error_text::chain;
use openai_client::{Batch, BodyReservation, Client, ErrorKind};
use service::excerpt;
use store::{BatchEnd, BatchProgress, BatchRecord, ResultPayload, ResultSource};
use webhook::{FetchState, NotificationType, Reason};

use crate::context::Context;
use crate::failure::{HandlerError, shown_status};
use crate::handlers::batch_file::{self, BatchFile};
use crate::handlers::batch_input;
use crate::handlers::download::RemoteFile;
use crate::handlers::fetch::{self, Found, Wanted};
use crate::handlers::raw_object;
use crate::handlers::reread::{self, Reread};
use crate::job::Job;
use crate::settlement::{Effect, Write};

/// How long to wait for the files of a batch that has ended: OpenAI may report the end before it names them.
const UNNAMED_FILE_TIMEOUT: Duration = Duration::from_secs(12 * 60);
/// Attempts to get a better file than the stored one; a bad one may be temporary.
const REREAD_ATTEMPTS_MAX: u32 = 5;

pub(super) async fn handle(context: &Context, job: &Job<'_>, id: &str) -> Result<Write, HandlerError> {
    let call = |client: Client| async move { client.batch(id).await };
    let mut found = fetch::object(context, job, Wanted::Always("batch"), call, Batch::parse).await?;
    let status = (found.object.phase(), found.object.status.as_deref());
    let terminal = found.ended(context, job, "batch", status).await?;
    found.raw = raw_object::for_column(context, job, id, &found).await?;
    let (state, reason) = (found.state, found.reason);
    let reservation = std::mem::take(&mut found.reservation);
    let has_unnamed_file = found.object.has_unnamed_file();
    let mut record = record(job, id, found, terminal);
    let progress = context.store.begin_batch(&record).await?;
    // The object is stored, and its files need the body memory.
    record.raw = None;
    drop(reservation);
    let (end, reason) = match fetch::client(context, job)? {
        Some(client) if state == FetchState::Fetched => {
            if has_unnamed_file && !progress.results_complete {
                wait_for_names(context, job, &progress, record.status.as_deref()).await?;
            }
            let ended = files(context, job, &client, (&record, &progress)).await?;
            batch_input::store(context, job, &client, (id, &progress)).await?;
            ended
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

/// Returns an error while the batch's file names may still appear; after that the batch is stored without them.
async fn wait_for_names(
    context: &Context,
    job: &Job<'_>,
    progress: &BatchProgress,
    status: Option<&str>,
) -> Result<(), HandlerError> {
    let now = Utc::now();
    // Unchanged across attempts while the object does not change.
    let since = progress.fetched_at.unwrap_or(now);
    if context.retry.is_settled(since, UNNAMED_FILE_TIMEOUT, now) || context.was_tried_long_enough(job).await
    {
        tracing::warn!(
            object.id = excerpt(job.object_id().unwrap_or_default()).as_ref(),
            "the batch counts results in a file that it does not name; it is stored without that file"
        );
        return Ok(());
    }
    Err(HandlerError::FileNotNamed { status: shown_status(status) })
}

/// Imports both files, each from the line where the last attempt stopped; or reads them again when an operator requests
/// it and the stored rows are in doubt.
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
    // From the newest known state of the batch, in case this one is older.
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
                // Output files expire after 30 days, or after as little as one hour (`output_expires_after`).
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
        // The file is gone: nothing more can be fetched than what is stored.
        (true, true) => (BatchEnd::Confirmed, Some(Reason::NotFound)),
        (true, false) => (BatchEnd::Expired, Some(Reason::NotFound)),
        (false, true) if is_same => (BatchEnd::Confirmed, None),
        (false, _) => (BatchEnd::Complete, None),
    })
}

/// The result of importing one file.
enum FileImport {
    /// Imported; the number of lines.
    Lines(i64),
    /// Read again; identical to the stored file.
    Same,
    /// Read again and different: it has replaced the stored file, or was worse and was ignored.
    Different,
}

/// Imports a file of which nothing is stored yet, and reads any other again.
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
                "{}; the stored rows are kept",
                chain(&error)
            );
            Ok(FileImport::Different)
        }
        Err(error) => Err(error),
    }
}

fn warn_of_mismatch(batch: &BatchRecord, lines: i64) {
    // A batch that was rejected as a whole has requests and no files.
    if batch.errors.is_none() && batch.requests_total.is_some_and(|n| n != lines) {
        tracing::warn!(
            object.id = excerpt(&batch.batch_id).as_ref(),
            requests = batch.requests_total,
            lines,
            "the batch's files do not have one line per request"
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
