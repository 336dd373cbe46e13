//! [`Store`]: batches and their results.

use super::Store;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::batch::{
    Appended, BatchChunk, BatchEnd, BatchProgress, BatchRecord, ResultFilter, ResultRow, ResultSource,
};
use crate::batch_appender::BatchAppender;
use crate::error::StoreError;
use crate::event::Completion;
use crate::import::Import;
use crate::tables;
use crate::tables::batches::{Ahead, Told};

/// Batches: begin, append chunk by chunk, finish.
impl Store {
    /// Stores the batch itself, and says where its files are to be taken up.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_batch(&self, batch: &BatchRecord) -> Result<BatchProgress, StoreError> {
        let progress = tables::batches::begin(&self.database, batch).await;
        progress.map_err(StoreError::database("store a batch"))
    }

    /// Adds a chunk if the batch is at its first line, and moves on: of two workers only one gets each line in.
    ///
    /// # Errors
    /// [`StoreError::OutOfStep`] when lines before the chunk are missing; when the database cannot be written.
    pub async fn append_batch_results(&self, chunk: &BatchChunk) -> Result<Appended, StoreError> {
        let told = Told { claimed: oneshot::channel().0, given_up: CancellationToken::new() };
        self.append_behind(chunk, None, told).await
    }

    pub(crate) async fn append_behind(
        &self,
        chunk: &BatchChunk,
        ahead: Option<Ahead>,
        told: Told,
    ) -> Result<Appended, StoreError> {
        let Some(first) = chunk.rows.first() else {
            return Ok(Appended::Added);
        };
        debug_assert!(first.line >= chunk.first_line && chunk.rows.is_sorted_by(|a, b| a.line < b.line));
        let found = tables::batches::append(&self.database, chunk, ahead, told).await;
        match found.map_err(StoreError::database("store results of a batch"))? {
            Some(next_line) if next_line == chunk.first_line => Ok(Appended::Added),
            Some(next_line) if next_line > chunk.first_line => Ok(Appended::Overtaken { next_line }),
            next_line => Err(StoreError::OutOfStep {
                batch_id: chunk.batch_id.clone(),
                next_line,
                first_line: chunk.first_line,
            }),
        }
    }

    /// For a file of many chunks: writes while the next rows are read.
    pub fn batch_appender(
        &self,
        project: &str,
        batch_id: &str,
        source: ResultSource,
        next_line: i64,
    ) -> BatchAppender {
        BatchAppender::new(self.clone(), project, batch_id, source, next_line)
    }

    /// How many chunks of a file are worth being written at once.
    pub(crate) fn import_lanes(&self) -> usize {
        self.database.import_lanes()
    }

    /// Says how the import ended, together with the event. Complete stays complete.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn finish_batch(
        &self,
        batch_id: &str,
        end: BatchEnd,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let done = tables::batches::finish(&self.database, batch_id, end, completion).await;
        done.map_err(StoreError::database("complete a batch"))
    }

    /// Batches whose import is under way, the one that began first comes first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn imports(&self, limit: u32) -> Result<Vec<Import>, StoreError> {
        let imports = tables::imports::list(&self.database, limit).await;
        imports.map_err(StoreError::database("read imports"))
    }

    /// A batch's results.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn batch_results(&self, filter: &ResultFilter) -> Result<Vec<ResultRow>, StoreError> {
        let rows = tables::batch_results::page(&self.database, filter).await;
        rows.map_err(StoreError::database("read results of a batch"))
    }
}
