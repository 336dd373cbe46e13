//! Brings a batch's file home in one pass: raw bytes to the file store, and one row a line, in chunks that are committed
//! as they come. A second run takes up at the line where the first one stopped.

use openai_client::{BodyRoom, Client, LINE_BYTES_MAX};
use store::{BatchAppender, ResultSource};

use crate::context::Context;
use crate::handlers::HandlerError;
use crate::handlers::batch_lines::{BatchLines, RowChunk};
use crate::handlers::download::{Download, Place};
use crate::watchdog::Progress;

/// Which file of which batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchFile<'a> {
    pub(super) project: &'a str,
    pub(super) batch_id: &'a str,
    pub(super) source: ResultSource,
    pub(super) file_id: &'a str,
    pub(super) progress: &'a Progress,
}

impl<'a> BatchFile<'a> {
    pub(super) fn place(self) -> Place<'a> {
        Place {
            project: self.project,
            object_id: self.batch_id,
            file_id: self.file_id,
            progress: self.progress,
        }
    }
}

/// Downloads one of a batch's files, keeps it, and stores its lines from `next_line` on. How many lines it has, blank
/// ones not counted.
pub(super) async fn import(
    context: &Context,
    client: &Client,
    file: BatchFile<'_>,
    next_line: i64,
) -> Result<i64, HandlerError> {
    let appender = context.store.batch_appender(file.project, file.batch_id, file.source, next_line);
    let mut rows = Rows { file, lines: BatchLines::from(next_line), chunk: RowChunk::default(), appender };
    let mut download = Download::begin(context, client, file.place()).await?;
    let read = rows.read(context, client, &mut download).await;
    rows.lines.log_quarantine(file);
    match read {
        Ok(()) => {
            let lines = rows.lines.with_text;
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
    lines: BatchLines,
    chunk: RowChunk,
    appender: BatchAppender,
}

impl Rows<'_> {
    /// Reads the file to its end. The last chunk is left for [`Rows::finish`].
    async fn read(
        &mut self,
        context: &Context,
        client: &Client,
        download: &mut Download<'_>,
    ) -> Result<(), HandlerError> {
        // Most lines are small, and need none.
        let mut room = client.body_room();
        while let Some(bytes) = download.next(context).await? {
            let held = self.lines.held_with(&bytes);
            self.file.progress.waiting(room.cover(held, LINE_BYTES_MAX)).await;
            self.lines.push(bytes);
            while let Some(row) = self.lines.next_row() {
                if self.chunk.push(row) {
                    self.flush(&mut room).await?;
                }
            }
        }
        while let Some(row) = self.lines.rest_row() {
            if self.chunk.push(row) {
                self.flush(&mut room).await?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self, room: &mut BodyRoom) -> Result<(), HandlerError> {
        let mut stored = self.appender.append(self.chunk.take()).await?;
        if room.is_taken() {
            // The large line is on disk before its room is given back.
            stored += self.appender.drain().await?;
            room.empty();
        }
        self.file.progress.stored(stored);
        Ok(())
    }

    /// Returns when every row is stored.
    async fn finish(mut self) -> Result<(), HandlerError> {
        self.flush(&mut BodyRoom::default()).await?;
        self.file.progress.stored(self.appender.finish().await?);
        Ok(())
    }
}
