//! Rows of `batch_results` on their way into SQLite: many a statement, by `?`, which binds without a name to look up.

use sqlx::{QueryBuilder, SqliteConnection};

use crate::batch::{BatchChunk, BatchResult};
use crate::json_text::{key, mended, plain};

/// 13 values each; a statement takes at most 32766.
const ROWS_PER_STATEMENT: usize = 500;

/// How many of the rows no JSON column holds.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    chunk: &BatchChunk,
    results: &[BatchResult],
) -> sqlx::Result<i64> {
    let mut quarantined = 0;
    for rows in results.chunks(ROWS_PER_STATEMENT) {
        quarantined += insert_some(connection, chunk, rows).await?;
    }
    Ok(quarantined)
}

async fn insert_some(
    connection: &mut SqliteConnection,
    chunk: &BatchChunk,
    rows: &[BatchResult],
) -> sqlx::Result<i64> {
    let mut quarantined = 0;
    let mut insert = QueryBuilder::new(
        "INSERT INTO batch_results (project, batch_id, source, line, custom_id, status_code, request_id, body, \
         body_bytes, error, input_tokens, output_tokens, quarantined) ",
    );
    insert.push_values(rows, |mut values, row| {
        let body = row.columns();
        quarantined += i64::from(row.quarantined || body.bytes.is_some());
        values
            .push_bind(plain(&chunk.project))
            .push_bind(key(&chunk.batch_id))
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
    insert.build().execute(connection).await?;
    Ok(quarantined)
}
