//! Brings a batch's file home in one pass: raw bytes to the file store, and one row a line, in chunks that are committed
//! as they come. A second run takes up at the line where the first one stopped.

use bytes::Bytes;
use openai_client::{BatchLine, Client, LineSplitter, LineTooLong};
use store::{Appended, BatchChunk, BatchResult, ResultSource};

use crate::context::Context;
use crate::handlers::HandlerError;
use crate::handlers::download::{Download, Place};
use crate::watchdog::Progress;

/// A transaction holds at most so many rows and about so many bytes: large enough to be fast, small enough for memory
/// and for other writers.
const CHUNK_ROWS_MAX: usize = 1000;
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// Which file of which batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchFile<'a> {
    pub(super) project: &'a str,
    pub(super) batch_id: &'a str,
    pub(super) source: ResultSource,
    pub(super) file_id: &'a str,
    pub(super) progress: &'a Progress,
}

/// Downloads one of a batch's files, keeps it, and stores its lines from `next_line` on. How many lines it has, blank
/// ones not counted.
pub(super) async fn import(
    context: &Context,
    client: &Client,
    file: BatchFile<'_>,
    next_line: i64,
) -> Result<i64, HandlerError> {
    let place = Place {
        project: file.project,
        object_id: file.batch_id,
        file_id: file.file_id,
        progress: file.progress,
    };
    let mut rows = Rows { file, next_line, line: 0, lines_with_text: 0, chunk: Vec::new(), chunk_bytes: 0 };
    let mut download = Download::begin(context, client, place).await?;
    match rows.read(context, &mut download).await {
        Ok(()) => {
            download.keep(context).await?;
            rows.flush(context).await?;
            Ok(rows.lines_with_text)
        }
        Err(error) => Err(download.discard(error).await),
    }
}

/// Lines on their way into the table.
struct Rows<'a> {
    file: BatchFile<'a>,
    /// The first line the store does not have yet.
    next_line: i64,
    /// The last line seen, from 1.
    line: i64,
    lines_with_text: i64,
    chunk: Vec<BatchResult>,
    chunk_bytes: usize,
}

impl Rows<'_> {
    /// Reads the file to its end. The last chunk is left for [`Rows::flush`].
    async fn read(&mut self, context: &Context, download: &mut Download<'_>) -> Result<(), HandlerError> {
        let mut lines = LineSplitter::new();
        while let Some(bytes) = download.next(context).await? {
            lines.push(bytes);
            while let Some(line) = lines.next_line().transpose() {
                self.add(context, line).await?;
            }
        }
        while let Some(line) = lines.finish().transpose() {
            self.add(context, line).await?;
        }
        Ok(())
    }

    async fn add(&mut self, context: &Context, line: Result<Bytes, LineTooLong>) -> Result<(), HandlerError> {
        self.line += 1;
        let empty = |line: &Bytes| line.iter().all(u8::is_ascii_whitespace);
        if line.as_ref().is_ok_and(empty) {
            return Ok(());
        }
        self.lines_with_text += 1;
        if self.line < self.next_line {
            return Ok(());
        }
        self.chunk_bytes += line.as_ref().map_or(0, Bytes::len);
        self.chunk.push(match &line {
            Ok(line) => row(self.line, line),
            // Its bytes are in the raw file; no row holds so many.
            Err(too_long) => quarantined(self.line, None, too_long),
        });
        if self.chunk.len() >= CHUNK_ROWS_MAX || self.chunk_bytes >= CHUNK_BYTES_MAX {
            self.flush(context).await?;
        }
        Ok(())
    }

    /// Commits the chunk. When another worker is ahead in the same file, what it has stored is left out.
    async fn flush(&mut self, context: &Context) -> Result<(), HandlerError> {
        let mut rows = std::mem::take(&mut self.chunk);
        self.chunk_bytes = 0;
        while let Some(last) = rows.last() {
            let after = last.line + 1;
            let chunk = BatchChunk {
                project: self.file.project.to_owned(),
                batch_id: self.file.batch_id.to_owned(),
                source: self.file.source,
                first_line: self.next_line,
                rows,
            };
            match context.store.append_batch_results(&chunk).await? {
                Appended::Added => {
                    self.file.progress.stored(chunk.rows.len());
                    self.next_line = after;
                    break;
                }
                Appended::Overtaken { next_line } => {
                    self.next_line = next_line;
                    rows = chunk.rows;
                    rows.retain(|row| row.line >= next_line);
                }
            }
        }
        Ok(())
    }
}

fn row(number: i64, line: &Bytes) -> BatchResult {
    match BatchLine::parse(line) {
        Ok(parsed) => BatchResult {
            line: number,
            custom_id: parsed.custom_id,
            status_code: parsed.status_code,
            request_id: parsed.request_id,
            body: parsed.body.map(|body| body.get().as_bytes().to_vec()),
            error: parsed.error.map(|error| error.get().to_owned()),
            input_tokens: parsed.input_tokens,
            output_tokens: parsed.output_tokens,
            quarantined: false,
        },
        Err(error) => quarantined(number, Some(line.to_vec()), &error),
    }
}

/// A line that cannot be read is kept whole, and counted: never skipped.
fn quarantined(line: i64, body: Option<Vec<u8>>, why: &dyn std::error::Error) -> BatchResult {
    tracing::warn!(line, error = %why, "a line of a batch file is in quarantine");
    BatchResult {
        line,
        custom_id: None,
        status_code: None,
        request_id: None,
        body,
        error: None,
        input_tokens: None,
        output_tokens: None,
        quarantined: true,
    }
}
