//! The table `responses`.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row::{self, sql_time};
use super::upsert::upsert;
use super::{Sqlite, events};
use crate::event::Completion;
use crate::json_text::{JsonColumns, mended, plain};
use crate::response::ResponseRecord;

const UPSERT: &str = upsert!(
    "responses",
    "response_id",
    [
        "status",
        "model",
        "output_text",
        "citations",
        "usage",
        "error",
        "incomplete_reason",
        "metadata",
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

pub(crate) async fn save(
    sqlite: &Sqlite,
    response: &ResponseRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let raw = JsonColumns::of(response.raw.as_deref());
    let mut transaction = sqlite.begin().await?;
    sqlx::query(UPSERT)
        .bind(&response.project)
        .bind(plain(&response.response_id))
        .bind(response.status.as_deref().map(plain))
        .bind(response.model.as_deref().map(plain))
        .bind(response.output_text.as_deref().map(plain))
        .bind(response.citations.as_deref().map(mended))
        .bind(response.usage.as_deref().map(mended))
        .bind(response.error.as_deref().map(mended))
        .bind(response.incomplete_reason.as_deref().map(plain))
        .bind(response.metadata.as_deref().map(mended))
        .bind(response.created_at.map(sql_time))
        .bind(response.completed_at.map(sql_time))
        .bind(sql_time(response.received_at))
        .bind(response.fetch_state.as_str())
        .bind(response.fetched_at.map(sql_time))
        .bind(response.terminal)
        .bind(raw.text)
        .bind(raw.bytes)
        .execute(&mut *transaction)
        .await?;
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

pub(super) fn record(row: &SqliteRow) -> sqlx::Result<ResponseRecord> {
    Ok(ResponseRecord {
        project: row.try_get("project")?,
        response_id: row.try_get("response_id")?,
        status: row.try_get("status")?,
        model: row.try_get("model")?,
        output_text: row.try_get("output_text")?,
        citations: row.try_get("citations")?,
        usage: row.try_get("usage")?,
        error: row.try_get("error")?,
        metadata: row.try_get("metadata")?,
        incomplete_reason: row.try_get("incomplete_reason")?,
        created_at: row::time(row, "created_at")?,
        completed_at: row::time(row, "completed_at")?,
        received_at: row::required_time(row, "received_at")?,
        fetch_state: row::member(row, "fetch_state")?,
        fetched_at: row::time(row, "fetched_at")?,
        terminal: row.try_get("terminal")?,
        raw: row::bytes(row, row::RAW)?,
    })
}
