//! The table `responses`.

use std::sync::LazyLock;

use super::events;
use super::upsert::upsert;
use crate::database::Database;
use crate::event::Completion;
use crate::response::ResponseRecord;
use crate::row::{self, Row};
use crate::value::Value;

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    upsert(
        "responses",
        "response_id",
        &[
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
        ],
    )
});

pub(crate) async fn save(
    database: &Database,
    response: &ResponseRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let [raw_json, raw_bytes] = Value::json_or_bytes(response.raw.as_deref());
    let mut transaction = database.begin().await?;
    transaction
        .execute(
            UPSERT.as_str(),
            &[
                Value::text(&response.project),
                Value::key(&response.response_id),
                Value::text_if_any(response.status.as_deref()),
                Value::text_if_any(response.model.as_deref()),
                Value::text_if_any(response.output_text.as_deref()),
                Value::lifted(response.citations.as_deref()),
                Value::lifted(response.usage.as_deref()),
                Value::lifted(response.error.as_deref()),
                Value::text_if_any(response.incomplete_reason.as_deref()),
                Value::lifted(response.metadata.as_deref()),
                Value::time_if_any(response.created_at),
                Value::time_if_any(response.completed_at),
                Value::time(response.received_at),
                Value::text(response.fetch_state.as_str()),
                Value::time_if_any(response.fetched_at),
                response.terminal.into(),
                raw_json,
                raw_bytes,
            ],
        )
        .await?;
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

pub(super) fn record(row: &Row) -> sqlx::Result<ResponseRecord> {
    Ok(ResponseRecord {
        project: row.get("project")?,
        response_id: row.get("response_id")?,
        status: row.get("status")?,
        model: row.get("model")?,
        output_text: row.get("output_text")?,
        citations: row.json("citations")?,
        usage: row.json("usage")?,
        error: row.json("error")?,
        metadata: row.json("metadata")?,
        incomplete_reason: row.get("incomplete_reason")?,
        created_at: row.time("created_at")?,
        completed_at: row.time("completed_at")?,
        received_at: row.required_time("received_at")?,
        fetch_state: row.maybe_known("fetch_state")?,
        fetched_at: row.time("fetched_at")?,
        terminal: row.get("terminal")?,
        raw: row.json_or_bytes(row::RAW)?,
    })
}
