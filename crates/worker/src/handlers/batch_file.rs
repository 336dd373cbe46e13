//! Brings a batch's file home in one pass: raw bytes to the file store, and one row a line, in chunks that are committed
//! as they come. A second run takes up at the line where the first one stopped.

use bytes::Bytes;
use openai_client::{BatchLine, Client, LineSplitter, LineTooLong};
use store::{BatchAppender, BatchResult, ResultSource};

use crate::context::Context;
use crate::handlers::HandlerError;
use crate::handlers::download::{Download, Place};
use crate::watchdog::Progress;

/// A transaction holds at most so many rows and about so many bytes: large enough to be fast, small enough for memory
/// and for other writers.
const CHUNK_ROWS_MAX: usize = 1000;
const CHUNK_BYTES_MAX: usize = 2 << 20;

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
    let appender = context.store.batch_appender(file.project, file.batch_id, file.source, next_line);
    let mut rows =
        Rows { file, next_line, line: 0, lines_with_text: 0, chunk: Vec::new(), chunk_bytes: 0, appender };
    let mut download = Download::begin(context, client, place).await?;
    match rows.read(context, &mut download).await {
        Ok(()) => {
            let lines = rows.lines_with_text;
            // The last rows are written while the file is synced.
            tokio::try_join!(download.keep(context), rows.finish())?;
            Ok(lines)
        }
        Err(error) => Err(download.discard(error).await),
    }
}

/// Lines on their way into the table.
struct Rows<'a> {
    file: BatchFile<'a>,
    /// The first line the store did not have when the import began.
    next_line: i64,
    /// The last line seen, from 1.
    line: i64,
    lines_with_text: i64,
    chunk: Vec<BatchResult>,
    chunk_bytes: usize,
    appender: BatchAppender,
}

impl Rows<'_> {
    /// Reads the file to its end. The last chunk is left for [`Rows::finish`].
    async fn read(&mut self, context: &Context, download: &mut Download<'_>) -> Result<(), HandlerError> {
        let mut lines = LineSplitter::new();
        while let Some(bytes) = download.next(context).await? {
            lines.push(bytes);
            while let Some(line) = lines.next_line().transpose() {
                self.add(line).await?;
            }
        }
        while let Some(line) = lines.finish().transpose() {
            self.add(line).await?;
        }
        Ok(())
    }

    async fn add(&mut self, line: Result<Bytes, LineTooLong>) -> Result<(), HandlerError> {
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
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), HandlerError> {
        self.chunk_bytes = 0;
        let stored = self.appender.append(std::mem::take(&mut self.chunk)).await?;
        self.file.progress.stored(stored);
        Ok(())
    }

    /// Returns when every row is stored.
    async fn finish(mut self) -> Result<(), HandlerError> {
        self.flush().await?;
        self.file.progress.stored(self.appender.finish().await?);
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
