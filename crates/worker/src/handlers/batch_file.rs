//! Brings a file home in one pass: raw bytes to the file store, and of a batch's file one row a line, in chunks that
//! are committed as they come. A second run takes up at the line where the first one stopped.

use bytes::Bytes;
use openai_client::{ApiError, BatchLine, Client, FileObject, LineSplitter, LineTooLong};
use store::{Appended, BatchChunk, BatchResult, FileRecord, FileWriter, ResultSource};

use crate::context::Context;
use crate::handlers::HandlerError;
use crate::watchdog::Progress;
use crate::work::Work;

/// A transaction holds at most so many rows and about so many bytes: large enough to be fast, small enough for memory
/// and for other writers.
const CHUNK_ROWS_MAX: usize = 1000;
const CHUNK_BYTES_MAX: usize = 4 << 20;
/// Result files of fine-tunes are read whole up to here; a row a step, they stay far below.
const SMALL_FILE_BYTES_MAX: usize = 64 << 20;

/// Others write to the disk as well, and not every file says how long it is: looked at again after so many bytes.
const SPACE_CHECK_BYTES: u64 = 64 << 20;

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

/// Keeps a file, and gives its content if it is small.
pub(super) async fn keep_small(
    context: &Context,
    work: &Work<'_>,
    client: &Client,
    file_id: &str,
) -> Result<Option<Vec<u8>>, HandlerError> {
    let object_id = work.object_id().unwrap_or_default();
    let place = Place { project: &work.entry.project, object_id, file_id, progress: &work.progress };
    let mut download = Download::begin(context, client, place).await?;
    let mut content = Some(Vec::new());
    loop {
        match download.next(context).await {
            Ok(Some(bytes)) => {
                content = content.filter(|content| content.len() + bytes.len() <= SMALL_FILE_BYTES_MAX);
                if let Some(content) = &mut content {
                    content.extend_from_slice(&bytes);
                }
            }
            Ok(None) => break,
            Err(error) => return Err(download.discard(error).await),
        }
    }
    download.keep(context).await?;
    Ok(content)
}

/// Where a raw file lies.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    project: &'a str,
    object_id: &'a str,
    file_id: &'a str,
    progress: &'a Progress,
}

/// A file on its way into the file store. Nothing of it is seen there before [`Download::keep`].
struct Download<'a> {
    place: Place<'a>,
    meta: FileObject,
    content: openai_client::Download,
    writer: FileWriter,
    received_bytes: u64,
}

impl<'a> Download<'a> {
    async fn begin(context: &Context, client: &Client, place: Place<'a>) -> Result<Self, HandlerError> {
        let api = |source: ApiError| HandlerError::Api { what: "file", source };
        let meta = client.file(place.file_id).await.map_err(api)?.object;
        place.progress.file_expires(meta.expires_at);
        check_space(context, meta.bytes.and_then(|bytes| u64::try_from(bytes).ok())).await?;
        let content = client.file_content(place.file_id).await.map_err(api)?;
        let writer = context.store.files().create(place.project, place.object_id, place.file_id).await?;
        Ok(Self { place, meta, content, writer, received_bytes: 0 })
    }

    /// The next bytes, which are written already. `None` only when the file is as long as OpenAI announced.
    async fn next(&mut self, context: &Context) -> Result<Option<Bytes>, HandlerError> {
        let next = self.content.next_chunk().await;
        let Some(bytes) = next.map_err(|source| HandlerError::Api { what: "file content", source })? else {
            return self.check_length().map(|()| None);
        };
        self.place.progress.step();
        let checked = self.received_bytes / SPACE_CHECK_BYTES;
        self.received_bytes += bytes.len() as u64;
        if self.received_bytes / SPACE_CHECK_BYTES > checked {
            check_space(context, None).await?;
        }
        self.writer.write(bytes.clone()).await?;
        Ok(Some(bytes))
    }

    /// The one check left when the answer had no Content-Length.
    fn check_length(&self) -> Result<(), HandlerError> {
        match self.meta.bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
            Some(announced_bytes) if announced_bytes != self.received_bytes => {
                Err(HandlerError::WrongLength {
                    file_id: self.place.file_id.to_owned(),
                    received_bytes: self.received_bytes,
                    announced_bytes,
                })
            }
            _ => Ok(()),
        }
    }

    /// Gives the file its name, and its row.
    async fn keep(self, context: &Context) -> Result<(), HandlerError> {
        let stored = self.writer.finish().await?;
        let record = FileRecord {
            project: self.place.project.to_owned(),
            file_id: self.place.file_id.to_owned(),
            object_id: self.place.object_id.to_owned(),
            purpose: self.meta.purpose,
            filename: self.meta.filename,
            bytes: stored.bytes,
            sha256: stored.sha256,
            location: stored.location,
            created_at: self.meta.created_at,
            expires_at: self.meta.expires_at,
        };
        Ok(context.store.save_file(&record).await?)
    }

    /// Leaves nothing behind, and hands the error on.
    async fn discard(self, error: HandlerError) -> HandlerError {
        self.writer.abort().await;
        error
    }
}

/// A file that is begun must fit, and leave `MIN_FREE_BYTES`: a full disk would stop Redis and the database as well.
async fn check_space(context: &Context, file_bytes: Option<u64>) -> Result<(), HandlerError> {
    let needed_bytes = context.min_free_bytes.saturating_add(file_bytes.unwrap_or(0));
    let free_bytes = context.store.files().free_bytes().await?;
    if free_bytes < needed_bytes {
        return Err(HandlerError::DiskLow { free_bytes, needed_bytes });
    }
    Ok(())
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
                    self.file.progress.step();
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
