//! Inserts rows into `batch_results`. A row that the database rejects does not affect other rows.

use crate::batch::{BatchChunk, BatchResult, ResultValues};
use crate::database::WriteTransaction;
use crate::error::is_about_the_value;
use crate::value::Value;

/// The maximum length of the database's error in a quarantined row.
const REFUSAL_CHARS_MAX: usize = 500;

/// Adds the rows of a chunk. Returns the number of rows that no JSON column can hold.
///
/// Our own columns and indexes accept every value. An index, constraint or trigger that a user has added may not: then
/// the row is quarantined, with the database's message as its error.
pub(super) async fn add(transaction: &mut WriteTransaction, chunk: &BatchChunk) -> sqlx::Result<i64> {
    let mut quarantined = 0;
    // Rejected rows are bisected until the offending row is alone.
    let mut parts = vec![chunk.rows.as_slice()];
    while let Some(rows) = parts.pop() {
        match add_all(transaction, chunk, rows).await {
            Ok(added) => quarantined += added,
            Err(error) if is_about_the_value(&error) => match rows {
                [row] => quarantined += add_refused(transaction, chunk, row, &error).await?,
                rows => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    parts.extend([second, first]);
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(quarantined)
}

/// Adds all rows or none.
async fn add_all(
    transaction: &mut WriteTransaction,
    chunk: &BatchChunk,
    rows: &[BatchResult],
) -> sqlx::Result<i64> {
    let values: Vec<ResultValues<'_>> = rows.iter().map(|row| row.values(chunk)).collect();
    transaction.execute("SAVEPOINT rows_of_chunk", &[]).await?;
    match transaction.add_batch_rows(&values).await {
        Ok(()) => {}
        Err(error) if is_about_the_value(&error) => {
            transaction.execute("ROLLBACK TO SAVEPOINT rows_of_chunk", &[]).await?;
            transaction.execute("RELEASE SAVEPOINT rows_of_chunk", &[]).await?;
            return Err(error);
        }
        // The whole transaction has failed.
        Err(error) => return Err(error),
    }
    transaction.execute("RELEASE SAVEPOINT rows_of_chunk", &[]).await?;
    let has_bytes =
        |values: &ResultValues<'_>| values.iter().any(|value| matches!(value, Value::Bytes(Some(_))));
    let quarantined = rows.iter().zip(&values).filter(|(row, values)| row.quarantined || has_bytes(values));
    Ok(quarantined.count() as i64)
}

async fn add_refused(
    transaction: &mut WriteTransaction,
    chunk: &BatchChunk,
    row: &BatchResult,
    refusal: &sqlx::Error,
) -> sqlx::Result<i64> {
    tracing::warn!(
        object.id = chunk.batch_id,
        line = row.line,
        error = error_text::chain(refusal),
        "the database rejected a line of a batch; the line is quarantined"
    );
    let words: String = refusal.to_string().chars().take(REFUSAL_CHARS_MAX).collect();
    let bare = BatchResult {
        line: row.line,
        custom_id: None,
        status_code: None,
        request_id: None,
        body: row.body.clone(),
        error: Some(serde_json::json!({"code": "value_refused", "message": words}).to_string()),
        input_tokens: None,
        output_tokens: None,
        cached_tokens: None,
        cache_write_tokens: None,
        reasoning_tokens: None,
        quarantined: true,
    };
    add_all(transaction, chunk, &[bare]).await
}
