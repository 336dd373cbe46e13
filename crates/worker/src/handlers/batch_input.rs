//! Fetches the input file of a batch (`FETCH_BATCH_INPUTS`): raw bytes to the file store, and one row per request, which
//! the results join by `custom_id`. It is the last thing of a batch: what cannot be read costs nothing else.

use bytes::Bytes;
use openai_client::{BatchInputLine, BodyReservation, Client, LINE_BYTES_MAX, LineSplitter, LineTooLong};
use store::{BatchInput, BatchProgress, FileRecord, PartState};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::download::{Download, RemoteFile};
use crate::handlers::part;
use crate::job::Job;

/// Rows and approximate bytes per transaction.
const CHUNK_ROWS_MAX: usize = 500;
const CHUNK_BYTES_MAX: usize = 2 << 20;

/// Stores the input file, unless it is stored or not wanted.
pub(super) async fn store(
    context: &Context,
    job: &Job<'_>,
    client: &Client,
    (batch_id, progress): (&str, &BatchProgress),
) -> Result<(), HandlerError> {
    let is_stored =
        progress.input_state.as_ref().and_then(|state| state.known()).is_some_and(PartState::is_stored);
    let Some(file_id) = progress.input_file_id.as_deref().filter(|_| context.batches.inputs && !is_stored)
    else {
        return Ok(());
    };
    let project = &job.entry.project;
    let remote = RemoteFile { project, object_id: batch_id, file_id, progress: &job.progress };
    match download(context, client, remote).await {
        Ok(file) => context.store.settle_batch_input(project, batch_id, Ok(&file)).await?,
        Err(error) => {
            let state = part::left_out(job, error)?;
            context.store.settle_batch_input(project, batch_id, Err(state)).await?;
        }
    }
    Ok(())
}

/// Downloads the file and stores its lines. Its row is not stored yet.
async fn download(
    context: &Context,
    client: &Client,
    file: RemoteFile<'_>,
) -> Result<FileRecord, HandlerError> {
    let mut download = Download::begin(context, client, file).await?;
    let mut rows =
        InputRows { context, file, splitter: LineSplitter::new(), line: 0, chunk: Vec::new(), bytes: 0 };
    match rows.read(client, &mut download).await {
        Ok(()) => download.finish().await,
        Err(error) => Err(download.abort(error).await),
    }
}

/// Converts lines to rows and writes them to the table.
struct InputRows<'a> {
    context: &'a Context,
    file: RemoteFile<'a>,
    splitter: LineSplitter,
    /// The last line taken, from 1.
    line: i64,
    chunk: Vec<BatchInput>,
    /// In the chunk.
    bytes: usize,
}

impl InputRows<'_> {
    async fn read(&mut self, client: &Client, download: &mut Download<'_>) -> Result<(), HandlerError> {
        // Most lines are small and need no reservation.
        let mut reservation = client.body_reservation();
        while let Some(bytes) = download.next(self.context).await? {
            let held = self.splitter.longest_line_with(&bytes).min(LINE_BYTES_MAX);
            self.file.progress.waiting(reservation.cover(held, LINE_BYTES_MAX)).await;
            self.splitter.push(bytes);
            self.take(LineSplitter::next_line, &mut reservation).await?;
        }
        self.take(LineSplitter::finish, &mut reservation).await?;
        self.flush(&mut reservation).await
    }

    /// Takes all complete lines.
    async fn take(
        &mut self,
        next: fn(&mut LineSplitter) -> Result<Option<Bytes>, LineTooLong>,
        reservation: &mut BodyReservation,
    ) -> Result<(), HandlerError> {
        while let Some(line) = next(&mut self.splitter).transpose() {
            self.line += 1;
            let row = match line {
                Ok(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Ok(line) => row(self.line, &line),
                // The raw file has its bytes; they are too many for a row.
                Err(LineTooLong { .. }) => other_line(self.line, None),
            };
            self.bytes += row.body.as_ref().map_or(0, Vec::len);
            self.chunk.push(row);
            if self.chunk.len() >= CHUNK_ROWS_MAX || self.bytes >= CHUNK_BYTES_MAX {
                self.flush(reservation).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, reservation: &mut BodyReservation) -> Result<(), HandlerError> {
        let RemoteFile { project, object_id, progress, .. } = self.file;
        let saved = self.context.store.save_batch_inputs(project, object_id, &self.chunk);
        progress.waiting(saved).await?;
        self.chunk.clear();
        self.bytes = 0;
        reservation.free();
        Ok(())
    }
}

/// A line that is not a request is stored whole.
fn row(line: i64, text: &Bytes) -> BatchInput {
    match BatchInputLine::parse(text) {
        Some(request) => BatchInput {
            line,
            custom_id: request.custom_id,
            method: request.method,
            url: request.url,
            body: request.body.map(|body| body.get().as_bytes().to_vec()),
        },
        None => other_line(line, Some(text.to_vec())),
    }
}

fn other_line(line: i64, body: Option<Vec<u8>>) -> BatchInput {
    BatchInput { line, custom_id: None, method: None, url: None, body }
}
