//! Chunks of a batch's file. The row of the batch is the fence: a chunk of `batch_results` goes in only at the line where
//! that row is, and moves it on in the same transaction.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::batch_rows;
use super::import_claim::claim;
use crate::batch::{Appended, BatchChunk, ResultSource};
use crate::database::{Database, WriteTransaction};
use crate::error::StoreError;
use crate::store::Store;
use crate::value::Value;

impl Store {
    /// Adds a chunk if the batch is at its first line, and moves on: of two workers only one gets each line in.
    ///
    /// # Errors
    /// [`StoreError::OutOfStep`] when lines before the chunk are missing; when the database cannot be written.
    pub async fn append_batch_results(&self, chunk: &BatchChunk) -> Result<Appended, StoreError> {
        let signals = ChunkSignals { claimed: oneshot::channel().0, given_up: CancellationToken::new() };
        self.append_after(chunk, None, signals).await
    }

    pub(crate) async fn append_after(
        &self,
        chunk: &BatchChunk,
        predecessor: Option<Predecessor>,
        signals: ChunkSignals,
    ) -> Result<Appended, StoreError> {
        let Some(first) = chunk.rows.first() else {
            return Ok(Appended::Added);
        };
        debug_assert!(first.line >= chunk.first_line && chunk.rows.is_sorted_by(|a, b| a.line < b.line));
        let found = append(&self.database, chunk, predecessor, signals).await;
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
}

/// What a chunk knows of the one predecessor of it, which is being written at the same time.
pub(crate) struct Predecessor {
    /// Sent once it may write rows.
    pub(crate) claimed: oneshot::Receiver<()>,
    /// Sent once its rows are committed; dropped when they will not be.
    pub(crate) added: oneshot::Receiver<()>,
    /// Which of the two locks it holds when it is not the first.
    pub(crate) uses_second_lock: bool,
}

/// Whom a chunk tells that it may write rows, and by whom it is signals that nobody waits for it any more.
pub(crate) struct ChunkSignals {
    pub(crate) claimed: oneshot::Sender<()>,
    /// Looked at between transactions only.
    pub(crate) given_up: CancellationToken,
}

/// How often an import looks whether another one of the same file has ended, or how far it is.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Adds a chunk, and says where the batch was: the chunk is in exactly when that is its first line. `None` when there is
/// no such batch.
///
/// Rows are written first, and the batch's row is locked and moved on at the end: so two chunks can be written at once
/// and still are committed in order. Only one worker at a time writes rows of a batch; others follow how far it is.
/// Otherwise two could wait for each other in a circle that the database does not see.
pub(crate) async fn append(
    database: &Database,
    chunk: &BatchChunk,
    predecessor: Option<Predecessor>,
    signals: ChunkSignals,
) -> sqlx::Result<Option<i64>> {
    let (mut added, uses_second_lock) =
        (None, predecessor.as_ref().map(|predecessor| !predecessor.uses_second_lock));
    if let Some(predecessor) = predecessor {
        if predecessor.claimed.await.is_err() {
            // Who looks at the one ahead first does not ask.
            return Ok(None);
        }
        added = Some(predecessor.added);
    }
    let mut transaction = loop {
        let mut transaction = database.begin().await?;
        if claim(&mut transaction, &chunk.project, &chunk.batch_id, uses_second_lock).await? {
            break transaction;
        }
        let line = next_line(&mut transaction, chunk).await?;
        if line.is_none_or(|line| line > chunk.first_line) {
            return Ok(line);
        }
        transaction.rollback().await?;
        if signals.given_up.is_cancelled() {
            // Nobody asks any more.
            return Ok(None);
        }
        tokio::time::sleep(POLL_EVERY).await;
    };
    let line = next_line(&mut transaction, chunk).await?;
    let in_step = match added {
        None => line == Some(chunk.first_line),
        // The one ahead may be in by now, or not.
        Some(_) => line.is_some_and(|line| line <= chunk.first_line),
    };
    if !in_step {
        return Ok(line);
    }
    // Nobody may be behind.
    let _ = signals.claimed.send(());
    let quarantined = batch_rows::add(&mut transaction, chunk).await?;
    if let Some(added) = added {
        // When it was dropped, the fence below says where the batch is.
        let _ = added.await;
    }
    let found = transaction.lock_row(fence(chunk.source), &name(chunk)).await?;
    let line = found.map(|row| row.get("line")).transpose()?;
    if line != Some(chunk.first_line) {
        return Ok(line);
    }
    advance(&mut transaction, chunk, quarantined).await?;
    transaction.commit().await?;
    Ok(line)
}

fn name(chunk: &BatchChunk) -> [Value<'_>; 2] {
    [Value::text(&chunk.project), Value::key(&chunk.batch_id)]
}

fn fence(source: ResultSource) -> AssertSqlSafe<String> {
    let next_line = source.next_line_column();
    AssertSqlSafe(format!("SELECT {next_line} AS line FROM batches WHERE project = $1 AND batch_id = $2"))
}

async fn next_line(transaction: &mut WriteTransaction, chunk: &BatchChunk) -> sqlx::Result<Option<i64>> {
    let found = transaction.fetch_optional(fence(chunk.source), &name(chunk)).await?;
    found.map(|row| row.get("line")).transpose()
}

async fn advance(
    transaction: &mut WriteTransaction,
    chunk: &BatchChunk,
    quarantined: i64,
) -> sqlx::Result<()> {
    let next_line = chunk.source.next_line_column();
    let update = format!(
        "UPDATE batches SET {next_line} = $3, rows_stored = rows_stored + $4, \
         rows_quarantined = rows_quarantined + $5 WHERE project = $1 AND batch_id = $2"
    );
    let rows = i64::try_from(chunk.rows.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let after = chunk.rows.last().map_or(chunk.first_line, |last| last.line + 1);
    let [project, batch_id] = name(chunk);
    let values = [project, batch_id, after.into(), rows.into(), quarantined.into()];
    transaction.execute(AssertSqlSafe(update), &values).await.map(drop)
}
