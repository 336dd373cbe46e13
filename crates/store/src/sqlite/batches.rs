//! The tables `batches` and `batch_results`. The row of the batch is the fence: a chunk goes in only at the line where
//! that row is, and moves it on in the same transaction.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _};

use super::row::{self, sql_time};
use super::upsert::upsert;
use super::{Sqlite, WriteTransaction, events};
use crate::batch::{
    BatchChunk, BatchEnd, BatchProgress, BatchRecord, BatchResult, ResultFilter, ResultRow, ResultSource,
    StoredBatch,
};
use crate::event::Completion;
use crate::json_text::{JsonColumns, mended, plain};

/// 13 values each; a statement takes at most 32766.
const ROWS_PER_STATEMENT: usize = 500;

const UPSERT: &str = upsert!(
    "batches",
    "batch_id",
    [
        "status",
        "endpoint",
        "model",
        "requests_total",
        "requests_completed",
        "requests_failed",
        "usage",
        "errors",
        "metadata",
        "input_file_id",
        "output_file_id",
        "error_file_id",
        "created_at",
        "completed_at",
        "received_at",
        "fetch_state",
        "fetched_at",
        "terminal",
        "raw",
        "raw_bytes",
    ]
);

pub(crate) async fn begin(sqlite: &Sqlite, batch: &BatchRecord) -> sqlx::Result<BatchProgress> {
    let mut transaction = sqlite.begin().await?;
    let before = file_ids(&mut transaction, batch).await?;
    upsert_batch(&mut transaction, batch).await?;
    let after = file_ids(&mut transaction, batch).await?;
    for (source, before, after) in
        [(ResultSource::Output, before.0, &after.0), (ResultSource::Error, before.1, &after.1)]
    {
        if before != *after {
            start_file_over(&mut transaction, batch, source).await?;
        }
    }
    let select = "SELECT output_next_line, error_next_line, results_complete FROM batches \
                  WHERE project = ? AND batch_id = ?";
    let row = sqlx::query(select)
        .bind(&batch.project)
        .bind(plain(&batch.batch_id))
        .fetch_one(&mut *transaction)
        .await?;
    let progress = BatchProgress {
        output_file_id: after.0,
        error_file_id: after.1,
        output_next_line: row.try_get("output_next_line")?,
        error_next_line: row.try_get("error_next_line")?,
        results_complete: row.try_get("results_complete")?,
    };
    transaction.commit().await?;
    Ok(progress)
}

async fn file_ids(
    transaction: &mut WriteTransaction,
    batch: &BatchRecord,
) -> sqlx::Result<(Option<String>, Option<String>)> {
    let select = "SELECT output_file_id, error_file_id FROM batches WHERE project = ? AND batch_id = ?";
    let found = sqlx::query_as(select)
        .bind(&batch.project)
        .bind(plain(&batch.batch_id))
        .fetch_optional(&mut **transaction)
        .await?;
    Ok(found.unwrap_or((None, None)))
}

async fn upsert_batch(transaction: &mut WriteTransaction, batch: &BatchRecord) -> sqlx::Result<()> {
    let raw = JsonColumns::of(batch.raw.as_deref());
    sqlx::query(UPSERT)
        .bind(&batch.project)
        .bind(plain(&batch.batch_id))
        .bind(batch.status.as_deref().map(plain))
        .bind(batch.endpoint.as_deref().map(plain))
        .bind(batch.model.as_deref().map(plain))
        .bind(batch.requests_total)
        .bind(batch.requests_completed)
        .bind(batch.requests_failed)
        .bind(batch.usage.as_deref().map(mended))
        .bind(batch.errors.as_deref().map(mended))
        .bind(batch.metadata.as_deref().map(mended))
        .bind(batch.input_file_id.as_deref().map(plain))
        .bind(batch.output_file_id.as_deref().map(plain))
        .bind(batch.error_file_id.as_deref().map(plain))
        .bind(batch.created_at.map(sql_time))
        .bind(batch.completed_at.map(sql_time))
        .bind(sql_time(batch.received_at))
        .bind(batch.fetch_state.as_str())
        .bind(batch.fetched_at.map(sql_time))
        .bind(batch.terminal)
        .bind(raw.text)
        .bind(raw.bytes)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

/// A newer state of the batch names another file, or one where there was none: what is stored is not its lines.
async fn start_file_over(
    transaction: &mut WriteTransaction,
    batch: &BatchRecord,
    source: ResultSource,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM batch_results WHERE project = ? AND batch_id = ? AND source = ?")
        .bind(&batch.project)
        .bind(plain(&batch.batch_id))
        .bind(source.as_str())
        .execute(&mut **transaction)
        .await?;
    sqlx::query(
        "UPDATE batches SET results_complete = 0, \
         output_next_line = CASE ?3 WHEN 'output' THEN 1 ELSE output_next_line END, \
         error_next_line = CASE ?3 WHEN 'error' THEN 1 ELSE error_next_line END, \
         rows_stored = (SELECT count(*) FROM batch_results WHERE project = ?1 AND batch_id = ?2), \
         rows_quarantined = (SELECT count(*) FROM batch_results WHERE project = ?1 AND batch_id = ?2 \
             AND (quarantined = 1 OR body_bytes IS NOT NULL)) \
         WHERE project = ?1 AND batch_id = ?2",
    )
    .bind(&batch.project)
    .bind(plain(&batch.batch_id))
    .bind(source.as_str())
    .execute(&mut **transaction)
    .await
    .map(drop)
}

/// The line the batch was at: the chunk is in exactly when that is its first line. `None` when there is no such batch.
pub(crate) async fn append(sqlite: &Sqlite, chunk: &BatchChunk) -> sqlx::Result<Option<i64>> {
    let mut transaction = sqlite.begin().await?;
    let select = match chunk.source {
        ResultSource::Output => "SELECT output_next_line FROM batches WHERE project = ? AND batch_id = ?",
        ResultSource::Error => "SELECT error_next_line FROM batches WHERE project = ? AND batch_id = ?",
    };
    let next_line: Option<i64> = sqlx::query_scalar(select)
        .bind(&chunk.project)
        .bind(plain(&chunk.batch_id))
        .fetch_optional(&mut *transaction)
        .await?;
    if next_line != Some(chunk.first_line) {
        return Ok(next_line);
    }
    let mut quarantined = 0;
    for rows in chunk.rows.chunks(ROWS_PER_STATEMENT) {
        quarantined += insert_results(&mut transaction, chunk, rows).await?;
    }
    move_on(&mut transaction, chunk, quarantined).await?;
    transaction.commit().await?;
    Ok(next_line)
}

/// How many of the rows are in quarantine, or have a body that went to the bytes column.
async fn insert_results(
    transaction: &mut WriteTransaction,
    chunk: &BatchChunk,
    rows: &[BatchResult],
) -> sqlx::Result<i64> {
    let mut quarantined = 0;
    let mut insert = QueryBuilder::new(
        "INSERT INTO batch_results (project, batch_id, source, line, custom_id, status_code, request_id, body, \
         body_bytes, error, input_tokens, output_tokens, quarantined) ",
    );
    insert.push_values(rows, |mut values, row| {
        let body = if row.quarantined {
            JsonColumns { text: None, bytes: row.body.as_deref() }
        } else {
            JsonColumns::of(row.body.as_deref())
        };
        quarantined += i64::from(row.quarantined || body.bytes.is_some());
        values
            .push_bind(&chunk.project)
            .push_bind(plain(&chunk.batch_id))
            .push_bind(chunk.source.as_str())
            .push_bind(row.line)
            .push_bind(row.custom_id.as_deref().map(plain))
            .push_bind(row.status_code)
            .push_bind(row.request_id.as_deref().map(plain))
            .push_bind(body.text)
            .push_bind(body.bytes)
            .push_bind(row.error.as_deref().map(mended))
            .push_bind(row.input_tokens)
            .push_bind(row.output_tokens)
            .push_bind(row.quarantined);
    });
    insert.build().execute(&mut **transaction).await?;
    Ok(quarantined)
}

async fn move_on(
    transaction: &mut WriteTransaction,
    chunk: &BatchChunk,
    quarantined: i64,
) -> sqlx::Result<()> {
    let update = match chunk.source {
        ResultSource::Output => {
            "UPDATE batches SET output_next_line = ?, rows_stored = rows_stored + ?, \
             rows_quarantined = rows_quarantined + ? WHERE project = ? AND batch_id = ?"
        }
        ResultSource::Error => {
            "UPDATE batches SET error_next_line = ?, rows_stored = rows_stored + ?, \
             rows_quarantined = rows_quarantined + ? WHERE project = ? AND batch_id = ?"
        }
    };
    let rows = i64::try_from(chunk.rows.len()).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(update)
        .bind(chunk.rows.last().map_or(chunk.first_line, |last| last.line + 1))
        .bind(rows)
        .bind(quarantined)
        .bind(&chunk.project)
        .bind(plain(&chunk.batch_id))
        .execute(&mut **transaction)
        .await
        .map(drop)
}

pub(crate) async fn finish(
    sqlite: &Sqlite,
    batch_id: &str,
    end: BatchEnd,
    completion: &Completion,
) -> sqlx::Result<()> {
    let update = match end {
        BatchEnd::Complete => Some(
            "UPDATE batches SET results_complete = 1, \
             fetch_state = CASE fetch_state WHEN 'expired' THEN 'fetched' ELSE fetch_state END \
             WHERE project = ? AND batch_id = ? AND results_complete = 0",
        ),
        BatchEnd::Expired => Some(
            "UPDATE batches SET fetch_state = 'expired' WHERE project = ? AND batch_id = ? AND results_complete = 0",
        ),
        BatchEnd::NotFetched => None,
    };
    let mut transaction = sqlite.begin().await?;
    if let Some(update) = update {
        sqlx::query(update)
            .bind(&completion.project)
            .bind(plain(batch_id))
            .execute(&mut *transaction)
            .await?;
    }
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

pub(crate) async fn results(sqlite: &Sqlite, filter: &ResultFilter) -> sqlx::Result<Vec<ResultRow>> {
    // Backwards by name, the output file comes before the error file.
    let rows = sqlx::query(
        "SELECT * FROM batch_results WHERE project = ?1 AND batch_id = ?2 \
         AND (?3 IS NULL OR custom_id = ?3) \
         AND (NOT ?4 OR error IS NOT NULL OR status_code >= 400 OR quarantined = 1) \
         AND (?5 IS NULL OR source < ?5 OR (source = ?5 AND line > ?6)) \
         ORDER BY source DESC, line LIMIT ?7",
    )
    .bind(&filter.project)
    .bind(&filter.batch_id)
    .bind(&filter.custom_id)
    .bind(filter.errors_only)
    .bind(filter.after.map(|(source, _)| source.as_str()))
    .bind(filter.after.map(|(_, line)| line))
    .bind(filter.limit)
    .fetch_all(&sqlite.readers)
    .await?;
    rows.iter().map(result).collect()
}

fn result(row: &SqliteRow) -> sqlx::Result<ResultRow> {
    Ok(ResultRow {
        project: row.try_get("project")?,
        batch_id: row.try_get("batch_id")?,
        source: row::member(row, "source")?,
        line: row.try_get("line")?,
        custom_id: row.try_get("custom_id")?,
        status_code: row.try_get("status_code")?,
        request_id: row.try_get("request_id")?,
        body: row::bytes(row, row::BODY)?,
        error: row.try_get("error")?,
        input_tokens: row.try_get("input_tokens")?,
        output_tokens: row.try_get("output_tokens")?,
        quarantined: row.try_get("quarantined")?,
    })
}

pub(super) fn record(row: &SqliteRow) -> sqlx::Result<StoredBatch> {
    let batch = BatchRecord {
        project: row.try_get("project")?,
        batch_id: row.try_get("batch_id")?,
        status: row.try_get("status")?,
        endpoint: row.try_get("endpoint")?,
        model: row.try_get("model")?,
        requests_total: row.try_get("requests_total")?,
        requests_completed: row.try_get("requests_completed")?,
        requests_failed: row.try_get("requests_failed")?,
        usage: row.try_get("usage")?,
        errors: row.try_get("errors")?,
        metadata: row.try_get("metadata")?,
        input_file_id: row.try_get("input_file_id")?,
        output_file_id: row.try_get("output_file_id")?,
        error_file_id: row.try_get("error_file_id")?,
        created_at: row::time(row, "created_at")?,
        completed_at: row::time(row, "completed_at")?,
        received_at: row::required_time(row, "received_at")?,
        fetch_state: row::member(row, "fetch_state")?,
        fetched_at: row::time(row, "fetched_at")?,
        terminal: row.try_get("terminal")?,
        raw: row::bytes(row, row::RAW)?,
    };
    Ok(StoredBatch {
        batch,
        rows_stored: row.try_get("rows_stored")?,
        rows_quarantined: row.try_get("rows_quarantined")?,
        output_next_line: row.try_get("output_next_line")?,
        error_next_line: row.try_get("error_next_line")?,
        results_complete: row.try_get("results_complete")?,
    })
}
