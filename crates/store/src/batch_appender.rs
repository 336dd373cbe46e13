//! Writes the rows of one batch file while more rows are read: in PostgreSQL over two connections at once, whose chunks
//! are committed in order; in SQLite, which has one writer, over one.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::batch::{Appended, BatchChunk, BatchResult, ResultSource};
use crate::error::StoreError;
use crate::store::Store;
use crate::tables::batch_append::{ChunkSignals, Predecessor};

impl Store {
    /// Appends a file in many chunks, writing while the next rows are read.
    pub fn batch_appender(
        &self,
        project: &str,
        batch_id: &str,
        source: ResultSource,
        next_line: i64,
    ) -> BatchAppender {
        let (project, batch_id) = (project.to_owned(), batch_id.to_owned());
        let given_up = CancellationToken::new().drop_guard();
        let (store, in_flight) = (self.clone(), VecDeque::new());
        BatchAppender { store, project, batch_id, source, next_line, in_flight, stored: 0, given_up }
    }
}

/// Appends rows to a batch file. If it is dropped before [`BatchAppender::finish`], chunks in flight are still written
/// in order, or abandoned between two transactions, but never inside one: a connection whose COPY was interrupted
/// cannot be reused, and would hold the batch's locks.
#[must_use = "rows are durable only once the appender is finished"]
pub struct BatchAppender {
    store: Store,
    project: String,
    batch_id: String,
    source: ResultSource,
    /// The first line that is not in a chunk yet.
    next_line: i64,
    /// Oldest first.
    in_flight: VecDeque<InFlightChunk>,
    /// Rows committed since the last call.
    stored: usize,
    /// Cancels the chunks in flight on drop.
    given_up: DropGuard,
}

/// A chunk that is being written.
struct InFlightChunk {
    task: JoinHandle<(BatchChunk, Result<Appended, StoreError>)>,
    /// Taken by the next chunk.
    predecessor: Option<Predecessor>,
}

impl BatchAppender {
    /// Appends rows in ascending line order; lines missing from `rows` are empty. Rows are durable once a later call,
    /// or [`BatchAppender::finish`], has returned. Rows that another worker has stored in the meantime are skipped.
    /// Returns the number of rows committed since the last call.
    ///
    /// # Errors
    /// When the database cannot be written, or another worker restarted the batch; in the latter case begin it again.
    pub async fn append(&mut self, rows: Vec<BatchResult>) -> Result<usize, StoreError> {
        while self.in_flight.len() >= self.store.database.import_concurrency() {
            self.settle().await?;
        }
        if let Some(chunk) = self.chunk(rows) {
            self.begin(chunk);
        }
        Ok(std::mem::take(&mut self.stored))
    }

    /// Waits until all rows are committed. Returns the number of rows committed since the last call.
    ///
    /// # Errors
    /// The errors of [`BatchAppender::append`].
    pub async fn finish(mut self) -> Result<usize, StoreError> {
        self.drain().await
    }

    /// Like [`BatchAppender::finish`], but more rows may follow.
    ///
    /// # Errors
    /// The errors of [`BatchAppender::append`].
    pub async fn drain(&mut self) -> Result<usize, StoreError> {
        while !self.in_flight.is_empty() {
            self.settle().await?;
        }
        Ok(std::mem::take(&mut self.stored))
    }

    /// The chunk of those rows that are not stored yet.
    fn chunk(&mut self, mut rows: Vec<BatchResult>) -> Option<BatchChunk> {
        rows.retain(|row| row.line >= self.next_line);
        let after = rows.last()?.line + 1;
        Some(BatchChunk {
            project: self.project.clone(),
            batch_id: self.batch_id.clone(),
            source: self.source,
            first_line: std::mem::replace(&mut self.next_line, after),
            rows,
        })
    }

    fn begin(&mut self, chunk: BatchChunk) {
        let predecessor = self.in_flight.back_mut().and_then(|chunk| chunk.predecessor.take());
        let (claimed, is_claimed) = oneshot::channel();
        let (added, is_added) = oneshot::channel();
        let uses_second_lock = predecessor.as_ref().is_some_and(|predecessor| !predecessor.uses_second_lock);
        let store = self.store.clone();
        let signals = ChunkSignals { claimed, given_up: self.given_up.token().clone() };
        let task = tokio::spawn(async move {
            let ended = store.append_after(&chunk, predecessor, signals).await;
            if matches!(ended, Ok(Appended::Added)) {
                // There may be no next chunk.
                let _ = added.send(());
            }
            (chunk, ended)
        });
        let predecessor = Some(Predecessor { claimed: is_claimed, added: is_added, uses_second_lock });
        self.in_flight.push_back(InFlightChunk { task, predecessor });
    }

    /// Waits for the oldest chunk. If another worker was faster, the rest of all chunks in flight is written again.
    async fn settle(&mut self) -> Result<(), StoreError> {
        let Some(chunk) = self.in_flight.pop_front() else { return Ok(()) };
        let (chunk, ended) = chunk.ended().await;
        let Appended::Overtaken { next_line } = ended? else {
            self.stored += chunk.rows.len();
            return Ok(());
        };
        let mut left = vec![chunk];
        for chunk in std::mem::take(&mut self.in_flight) {
            // It fails, because its predecessor was not added.
            left.push(chunk.ended().await.0);
        }
        let after = self.next_line;
        self.next_line = next_line;
        for chunk in left {
            let Some(mut chunk) = self.chunk(chunk.rows) else { continue };
            while let Appended::Overtaken { next_line } = self.store.append_batch_results(&chunk).await? {
                chunk.rows.retain(|row| row.line >= next_line);
                chunk.first_line = next_line;
                self.next_line = self.next_line.max(next_line);
            }
            self.stored += chunk.rows.len();
        }
        self.next_line = self.next_line.max(after);
        Ok(())
    }
}

impl InFlightChunk {
    async fn ended(self) -> (BatchChunk, Result<Appended, StoreError>) {
        match self.task.await {
            Ok(ended) => ended,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
