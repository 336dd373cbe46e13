//! The table `batches`: the batch objects, and the progress and end of their imports.

use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use super::upsert::{Existing, upsert};
use super::{events, imports};
use crate::batch::{BatchEnd, BatchProgress, BatchRecord, ResultSource, ResultsState, StoredBatch};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::Completion;
use crate::row::Row;
use crate::schema::BATCHES;
use crate::store::Store;
use crate::value::Value;

static UPSERT: LazyLock<String> = LazyLock::new(|| upsert(&BATCHES, BatchRecord::COLUMNS, Existing::Improve));

impl Store {
    /// Stores the batch itself, and returns where to resume the import of its files.
    pub async fn begin_batch(&self, batch: &BatchRecord) -> Result<BatchProgress, StoreError> {
        let steps = async |transaction: &mut WriteTransaction| begin(transaction, batch).await;
        self.database.write("store a batch", steps).await
    }

    /// Records how the import ended, together with the event. A complete batch stays complete.
    pub async fn finish_batch(
        &self,
        batch_id: &str,
        end: BatchEnd,
        completion: &Completion,
    ) -> Result<(), StoreError> {
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
        let mut values = vec![Value::text(&completion.project), Value::key(batch_id)];
        if end == BatchEnd::Confirmed {
            values.push(Value::time(completion.processed_at));
        }
        let steps = async |transaction: &mut WriteTransaction| {
            if let Some(update) = update {
                transaction.execute(update, &values).await?;
            }
            events::complete_in(transaction, completion).await
        };
        self.database.write("complete a batch", steps).await
    }
}

async fn begin(transaction: &mut WriteTransaction, batch: &BatchRecord) -> sqlx::Result<BatchProgress> {
    // If two workers begin a batch without a row, the second must see what the first wrote.
    transaction.lock_name(&batch.project, &batch.batch_id).await?;
    let before = lock_progress(transaction, batch).await?;
    transaction.execute(UPSERT.as_str(), &batch.values()).await?;
    let mut after = lock_progress(transaction, batch).await?.ok_or(sqlx::Error::RowNotFound)?;
    if let Some(before) = before {
        let mut changed = false;
        for (source, before, after) in [
            (ResultSource::Output, before.output_file_id, &after.output_file_id),
            (ResultSource::Error, before.error_file_id, &after.error_file_id),
        ] {
            if before != *after {
                restart_file(transaction, batch, source).await?;
                changed = true;
            }
        }
        if changed {
            after = lock_progress(transaction, batch).await?.ok_or(sqlx::Error::RowNotFound)?;
        }
    }
    imports::mark(transaction, batch).await?;
    Ok(after)
}

async fn lock_progress(
    transaction: &mut WriteTransaction,
    batch: &BatchRecord,
) -> sqlx::Result<Option<BatchProgress>> {
    let select = "SELECT output_file_id, error_file_id, output_next_line, error_next_line, results_complete, \
                  coalesce(results_complete AND errors IS NULL AND requests_total <> rows_stored, FALSE) \
                  AS is_mismatch, rows_quarantined, fetched_at, input_file_id, input_state \
                  FROM batches WHERE project = $1 AND batch_id = $2";
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
            input_file_id: row.get("input_file_id")?,
            input_state: row.parsed("input_state")?,
        })
    };
    found.map(progress).transpose()
}

/// A newer state of the batch names another file, or a first one: the stored lines are not from it.
async fn restart_file(
    transaction: &mut WriteTransaction,
    batch: &BatchRecord,
    source: ResultSource,
) -> sqlx::Result<()> {
    let values = [Value::text(&batch.project), Value::key(&batch.batch_id), Value::member(source)];
    let delete = "DELETE FROM batch_results WHERE project = $1 AND batch_id = $2 AND source = $3";
    transaction.execute(delete, &values).await?;
    let next_line = source.next_line_column();
    let update = format!(
        "UPDATE batches SET results_complete = FALSE, {next_line} = 1 WHERE project = $1 AND batch_id = $2"
    );
    transaction.execute(AssertSqlSafe(update), &values[..2]).await?;
    count_rows(transaction, &batch.project, &batch.batch_id).await
}

/// Recounts the rows after some were deleted. Whether they are complete is not known yet.
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

pub(super) fn record(row: &Row) -> sqlx::Result<StoredBatch> {
    let batch = BatchRecord::read(row)?;
    let (rows_stored, results_complete) = (row.get("rows_stored")?, row.get("results_complete")?);
    Ok(StoredBatch {
        results_state: ResultsState::of(&batch, rows_stored, results_complete),
        results_confirmed_at: row.time("results_confirmed_at")?,
        input_state: row.parsed("input_state")?,
        batch,
        rows_stored,
        rows_quarantined: row.get("rows_quarantined")?,
        output_next_line: row.get("output_next_line")?,
        error_next_line: row.get("error_next_line")?,
        results_complete,
    })
}
