//! The table `batches`. The row of the batch is the fence: a chunk of `batch_results` goes in only at the line where that
//! row is, and moves it on in the same transaction.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::upsert::{Existing, upsert};
use super::{batch_rows, events, imports};
use crate::batch::{
    BatchChunk, BatchEnd, BatchProgress, BatchRecord, ResultSource, ResultsState, StoredBatch,
};
use crate::columns::Record as _;
use crate::database::{Database, WriteTransaction};
use crate::event::Completion;
use crate::row::Row;
use crate::schema::BATCHES;
use crate::value::Value;

static UPSERT: LazyLock<String> = LazyLock::new(|| upsert(&BATCHES, BatchRecord::COLUMNS, Existing::Improve));

pub(crate) async fn begin(database: &Database, batch: &BatchRecord) -> sqlx::Result<BatchProgress> {
    let mut transaction = database.begin().await?;
    // Of two workers that begin a batch which has no row yet, the second must see what the first one wrote.
    transaction.lock_name(&batch.project, &batch.batch_id).await?;
    let before = place(&mut transaction, batch).await?;
    transaction.execute(UPSERT.as_str(), &batch.values()).await?;
    let mut after = place(&mut transaction, batch).await?.ok_or(sqlx::Error::RowNotFound)?;
    if let Some(before) = before {
        let mut changed = false;
        for (source, before, after) in [
            (ResultSource::Output, before.output_file_id, &after.output_file_id),
            (ResultSource::Error, before.error_file_id, &after.error_file_id),
        ] {
            if before != *after {
                start_file_over(&mut transaction, batch, source).await?;
                changed = true;
            }
        }
        if changed {
            after = place(&mut transaction, batch).await?.ok_or(sqlx::Error::RowNotFound)?;
        }
    }
    imports::mark(&mut transaction, batch).await?;
    transaction.commit().await?;
    Ok(after)
}

async fn place(
    transaction: &mut WriteTransaction,
    batch: &BatchRecord,
) -> sqlx::Result<Option<BatchProgress>> {
    let select = "SELECT output_file_id, error_file_id, output_next_line, error_next_line, results_complete, \
                  coalesce(results_complete AND errors IS NULL AND requests_total <> rows_stored, FALSE) \
                  AS is_mismatch, rows_quarantined, fetched_at FROM batches WHERE project = $1 AND batch_id = $2";
    let name = [Value::text(&batch.project), Value::key(&batch.batch_id)];
    let found = transaction.lock_row(select, &name).await?;
    let progress = |row: Row| {
        Ok(BatchProgress {
            output_file_id: row.get("output_file_id")?,
            error_file_id: row.get("error_file_id")?,
            output_next_line: row.get("output_next_line")?,
            error_next_line: row.get("error_next_line")?,
            results_complete: row.get("results_complete")?,
            is_mismatch: row.get("is_mismatch")?,
            rows_quarantined: row.get("rows_quarantined")?,
            fetched_at: row.time("fetched_at")?,
        })
    };
    found.map(progress).transpose()
}

/// A newer state of the batch names another file, or one where there was none: what is stored is not its lines.
async fn start_file_over(
    transaction: &mut WriteTransaction,
    batch: &BatchRecord,
    source: ResultSource,
) -> sqlx::Result<()> {
    let values = [Value::text(&batch.project), Value::key(&batch.batch_id), Value::name(source.as_str())];
    let delete = "DELETE FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3";
    transaction.execute(delete, &values).await?;
    let update = "UPDATE batches SET results_complete = FALSE, \
                  output_next_line = CASE $3 WHEN 'output' THEN 1 ELSE output_next_line END, \
                  error_next_line = CASE $3 WHEN 'error' THEN 1 ELSE error_next_line END \
                  WHERE project = $1 AND batch_id = $2";
    transaction.execute(update, &values).await?;
    count_rows(transaction, &batch.project, &batch.batch_id).await
}

/// Counts the rows that are left after some were deleted. It is not known yet whether they are complete.
pub(super) async fn count_rows(
    transaction: &mut WriteTransaction,
    project: &str,
    batch_id: &str,
) -> sqlx::Result<()> {
    let update = "UPDATE batches SET results_confirmed_at = NULL, \
                  rows_stored = (SELECT count(*) FROM batch_results WHERE project = $1 AND batch_id = $2), \
                  rows_quarantined = (SELECT count(*) FROM batch_results WHERE project = $1 AND batch_id = $2 \
                      AND (quarantined OR body_bytes IS NOT NULL)) \
                  WHERE project = $1 AND batch_id = $2";
    transaction.execute(update, &[Value::text(project), Value::key(batch_id)]).await.map(drop)
}

/// What a chunk knows of the one ahead of it, which is being written at the same time.
pub(crate) struct Ahead {
    /// Sent once it may write rows.
    pub(crate) claimed: oneshot::Receiver<()>,
    /// Sent once its rows are committed; dropped when they will not be.
    pub(crate) added: oneshot::Receiver<()>,
    /// Which of the two locks it holds when it is not the first.
    pub(crate) parity: bool,
}

/// Whom a chunk tells that it may write rows, and by whom it is told that nobody waits for it any more.
pub(crate) struct Told {
    pub(crate) claimed: oneshot::Sender<()>,
    /// Looked at between transactions only.
    pub(crate) given_up: CancellationToken,
}

/// How often an import looks whether another one of the same file has ended, or how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Adds a chunk, and says where the batch was: the chunk is in exactly when that is its first line. `None` when there is
/// no such batch.
///
/// Rows are written first, and the batch's row is locked and moved on at the end: so two chunks can be written at once
/// and still are committed in order. Only one worker at a time writes rows of a batch; others follow how far it is.
/// Otherwise two could wait for each other in a circle that the database does not see.
pub(crate) async fn append(
    database: &Database,
    chunk: &BatchChunk,
    ahead: Option<Ahead>,
    told: Told,
) -> sqlx::Result<Option<i64>> {
    let (mut added, parity) = (None, ahead.as_ref().map(|ahead| !ahead.parity));
    if let Some(ahead) = ahead {
        if ahead.claimed.await.is_err() {
            // Who looks at the one ahead first does not ask.
            return Ok(None);
        }
        added = Some(ahead.added);
    }
    let mut transaction = loop {
        let mut transaction = database.begin().await?;
        if transaction.claim_import(&chunk.project, &chunk.batch_id, parity).await? {
            break transaction;
        }
        let line = next_line(&mut transaction, chunk).await?;
        if line.is_none_or(|line| line > chunk.first_line) {
            return Ok(line);
        }
        transaction.rollback().await?;
        if told.given_up.is_cancelled() {
            // Nobody asks any more.
            return Ok(None);
        }
        tokio::time::sleep(LOOK_EVERY).await;
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
    let _ = told.claimed.send(());
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
    move_on(&mut transaction, chunk, quarantined).await?;
    transaction.commit().await?;
    Ok(line)
}

fn name(chunk: &BatchChunk) -> [Value<'_>; 2] {
    [Value::text(&chunk.project), Value::key(&chunk.batch_id)]
}

fn fence(source: ResultSource) -> &'static str {
    match source {
        ResultSource::Output => {
            "SELECT output_next_line AS line FROM batches WHERE project = $1 AND batch_id = $2"
        }
        ResultSource::Error => {
            "SELECT error_next_line AS line FROM batches WHERE project = $1 AND batch_id = $2"
        }
    }
}

async fn next_line(transaction: &mut WriteTransaction, chunk: &BatchChunk) -> sqlx::Result<Option<i64>> {
    let found = transaction.fetch_optional(fence(chunk.source), &name(chunk)).await?;
    found.map(|row| row.get("line")).transpose()
}

async fn move_on(
    transaction: &mut WriteTransaction,
    chunk: &BatchChunk,
    quarantined: i64,
) -> sqlx::Result<()> {
    let update = match chunk.source {
        ResultSource::Output => {
            "UPDATE batches SET output_next_line = $1, rows_stored = rows_stored + $2, \
             rows_quarantined = rows_quarantined + $3 WHERE project = $4 AND batch_id = $5"
        }
        ResultSource::Error => {
            "UPDATE batches SET error_next_line = $1, rows_stored = rows_stored + $2, \
             rows_quarantined = rows_quarantined + $3 WHERE project = $4 AND batch_id = $5"
        }
    };
    let rows = i64::try_from(chunk.rows.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    transaction
        .execute(
            update,
            &[
                chunk.rows.last().map_or(chunk.first_line, |last| last.line + 1).into(),
                rows.into(),
                quarantined.into(),
                Value::text(&chunk.project),
                Value::key(&chunk.batch_id),
            ],
        )
        .await
        .map(drop)
}

pub(crate) async fn finish(
    database: &Database,
    batch_id: &str,
    end: BatchEnd,
    completion: &Completion,
) -> sqlx::Result<()> {
    let update = match end {
        BatchEnd::Complete => Some(
            "UPDATE batches SET results_complete = TRUE, import_began_at = NULL, import_began_rows = NULL, \
             fetch_state = CASE fetch_state WHEN 'expired' THEN 'fetched' ELSE fetch_state END \
             WHERE project = $1 AND batch_id = $2 AND NOT results_complete",
        ),
        BatchEnd::Expired => Some(
            "UPDATE batches SET fetch_state = 'expired', import_began_at = NULL, import_began_rows = NULL \
             WHERE project = $1 AND batch_id = $2 AND NOT results_complete",
        ),
        BatchEnd::Confirmed => Some(
            "UPDATE batches SET results_complete = TRUE, results_confirmed_at = $3, import_began_at = NULL, \
             import_began_rows = NULL, \
             fetch_state = CASE fetch_state WHEN 'expired' THEN 'fetched' ELSE fetch_state END \
             WHERE project = $1 AND batch_id = $2",
        ),
        BatchEnd::NotFetched => None,
    };
    let mut transaction = database.begin().await?;
    if let Some(update) = update {
        let mut values = vec![Value::text(&completion.project), Value::key(batch_id)];
        if end == BatchEnd::Confirmed {
            values.push(Value::time(completion.processed_at));
        }
        transaction.execute(update, &values).await?;
    }
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

pub(super) fn record(row: &Row) -> sqlx::Result<StoredBatch> {
    let batch = BatchRecord::read(row)?;
    let (rows_stored, results_complete) = (row.get("rows_stored")?, row.get("results_complete")?);
    Ok(StoredBatch {
        results_state: ResultsState::of(&batch, rows_stored, results_complete),
        results_confirmed_at: row.time("results_confirmed_at")?,
        batch,
        rows_stored,
        rows_quarantined: row.get("rows_quarantined")?,
        output_next_line: row.get("output_next_line")?,
        error_next_line: row.get("error_next_line")?,
        results_complete,
    })
}
