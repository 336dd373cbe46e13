//! Imports a batch's file in one pass: raw bytes to the file store, and one row per line, committed in chunks. A second
//! run resumes at the line where the first one stopped.

use openai_client::{BodyReservation, Client};
use store::{BatchAppender, ResultSource};

use crate::context::Context;
use crate::failure::HandlerError;
use crate::handlers::batch_images;
use crate::handlers::batch_lines::{BatchLines, RowChunk};
use crate::handlers::download::{Download, RemoteFile};
use crate::watchdog::Progress;

/// One of a batch's files.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchFile<'a> {
    pub(super) remote: RemoteFile<'a>,
    pub(super) source: ResultSource,
    /// The first line that is not stored yet.
    pub(super) next_line: i64,
}

/// Downloads and stores a file, and its lines from `next_line` on. Returns the number of non-blank lines.
pub(super) async fn import(
    context: &Context,
    client: &Client,
    file: BatchFile<'_>,
) -> Result<i64, HandlerError> {
    let BatchFile { remote, source, next_line } = file;
    let appender = context.store.batch_appender(remote.project, remote.object_id, source, next_line);
    let lines = BatchLines::from(next_line);
    let mut rows = Rows { file, lines, chunk: RowChunk::default(), appender };
    let mut download = Download::begin(context, client, remote).await?;
    let read = rows.read(context, client, &mut download).await;
    rows.lines.log_quarantine(remote);
    match read {
        Ok(()) => {
            let lines = rows.lines.with_text;
            // The last rows are written while the file is synced.
            tokio::try_join!(download.commit(context), rows.finish())?;
            Ok(lines)
        }
        Err(error) => Err(download.abort(error).await),
    }
}

/// Converts lines to rows and writes them to the table.
struct Rows<'a> {
    file: BatchFile<'a>,
    lines: BatchLines,
    chunk: RowChunk,
    appender: BatchAppender,
}

impl<'a> Rows<'a> {
    /// Reads the file to its end. [`Rows::finish`] writes the last chunk.
    async fn read(
        &mut self,
        context: &Context,
        client: &Client,
        download: &mut Download<'_>,
    ) -> Result<(), HandlerError> {
        // Most lines are small and need no reservation.
        let mut reservation = client.body_reservation();
        while let Some(bytes) = download.next(context).await? {
            self.lines.push_within(&mut reservation, bytes, self.progress()).await;
            while let Some(row) = self.lines.next_row() {
                let row = batch_images::store(context, self.file(), row).await?;
                if self.chunk.push(row) {
                    self.flush(&mut reservation).await?;
                }
            }
        }
        while let Some(row) = self.lines.rest_row() {
            let row = batch_images::store(context, self.file(), row).await?;
            if self.chunk.push(row) {
                self.flush(&mut reservation).await?;
            }
        }
        Ok(())
    }

    fn file(&self) -> (RemoteFile<'a>, ResultSource) {
        (self.file.remote, self.file.source)
    }

    fn progress(&self) -> &'a Progress {
        self.file.remote.progress
    }

    async fn flush(&mut self, reservation: &mut BodyReservation) -> Result<(), HandlerError> {
        let mut stored = self.appender.append(self.chunk.take()).await?;
        if reservation.is_held() {
            // The large line is stored before its memory is released.
            stored += self.appender.drain().await?;
            reservation.free();
        }
        self.progress().stored(stored);
        Ok(())
    }

    /// Completes when every row is stored.
    async fn finish(mut self) -> Result<(), HandlerError> {
        self.flush(&mut BodyReservation::default()).await?;
        self.progress().stored(self.appender.finish().await?);
        Ok(())
    }
}
