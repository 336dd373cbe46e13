//! Appends chunks of a batch file. The batch's row is a fence: a chunk is added only at the line where that row is, and
//! advances it in the same transaction.

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
    /// Adds a chunk if the batch is at its first line, and advances the batch: of two workers only one adds each line.
    ///
    /// # Errors
    /// [`StoreError::OutOfStep`] if lines before the chunk are missing; a database error if it cannot be written.
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

/// The chunk before this one, which is being written at the same time.
pub(crate) struct Predecessor {
    /// Resolves once the predecessor may write rows.
    pub(crate) claimed: oneshot::Receiver<()>,
    /// Resolves once its rows are committed; dropped if they will not be.
    pub(crate) added: oneshot::Receiver<()>,
    /// Which of the two locks it holds if it is not the first.
    pub(crate) uses_second_lock: bool,
}

/// Signals between a chunk and its appender.
pub(crate) struct ChunkSignals {
    pub(crate) claimed: oneshot::Sender<()>,
    /// Checked only between transactions.
    pub(crate) given_up: CancellationToken,
}

/// How often to check whether another import of the same file has ended or advanced.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// Adds a chunk and returns the line the batch was at: the chunk was added if and only if that is its first line.
/// `None` if the batch does not exist.
///
/// Rows are written first; the batch's row is locked and advanced at the end, so two chunks can be written at once and
/// are still committed in order. Only one worker at a time writes rows of a batch, the others follow its progress;
/// otherwise two workers could deadlock without the database noticing.
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
            // The appender handles the predecessor's failure first and ignores this result.
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
            // The appender was dropped.
            return Ok(None);
        }
        tokio::time::sleep(POLL_EVERY).await;
    };
    let line = next_line(&mut transaction, chunk).await?;
    let in_step = match added {
        None => line == Some(chunk.first_line),
        // The predecessor may or may not be committed yet.
        Some(_) => line.is_some_and(|line| line <= chunk.first_line),
    };
    if !in_step {
        return Ok(line);
    }
    // There may be no next chunk.
    let _ = signals.claimed.send(());
    let quarantined = batch_rows::add(&mut transaction, chunk).await?;
    if let Some(added) = added {
        // If it was dropped, the fence below detects it.
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
