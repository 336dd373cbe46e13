//! The table `eval_runs`.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::row::{self, sql_time};
use super::upsert::upsert;
use super::{Sqlite, events};
use crate::eval_run::EvalRunRecord;
use crate::event::Completion;
use crate::json_text::{JsonColumns, mended, plain};

const UPSERT: &str = upsert!(
    "eval_runs",
    "run_id",
    [
        "status",
        "eval_id",
        "name",
        "model",
        "total",
        "passed",
        "failed",
        "errored",
        "report_url",
        "error",
        "created_at",
        "received_at",
        "fetch_state",
        "fetched_at",
        "terminal",
        "raw",
        "raw_bytes",
    ]
);

pub(crate) async fn save(sqlite: &Sqlite, run: &EvalRunRecord, completion: &Completion) -> sqlx::Result<()> {
    let raw = JsonColumns::of(run.raw.as_deref());
    let mut transaction = sqlite.begin().await?;
    sqlx::query(UPSERT)
        .bind(&run.project)
        .bind(plain(&run.run_id))
        .bind(run.status.as_deref().map(plain))
        .bind(run.eval_id.as_deref().map(plain))
        .bind(run.name.as_deref().map(plain))
        .bind(run.model.as_deref().map(plain))
        .bind(run.total)
        .bind(run.passed)
        .bind(run.failed)
        .bind(run.errored)
        .bind(run.report_url.as_deref().map(plain))
        .bind(run.error.as_deref().map(mended))
        .bind(run.created_at.map(sql_time))
        .bind(sql_time(run.received_at))
        .bind(run.fetch_state.as_str())
        .bind(run.fetched_at.map(sql_time))
        .bind(run.terminal)
        .bind(raw.text)
        .bind(raw.bytes)
        .execute(&mut *transaction)
        .await?;
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

pub(super) fn record(row: &SqliteRow) -> sqlx::Result<EvalRunRecord> {
    Ok(EvalRunRecord {
        project: row.try_get("project")?,
        run_id: row.try_get("run_id")?,
        status: row.try_get("status")?,
        eval_id: row.try_get("eval_id")?,
        name: row.try_get("name")?,
        model: row.try_get("model")?,
        total: row.try_get("total")?,
        passed: row.try_get("passed")?,
        failed: row.try_get("failed")?,
        errored: row.try_get("errored")?,
        report_url: row.try_get("report_url")?,
        error: row.try_get("error")?,
        created_at: row::time(row, "created_at")?,
        received_at: row::required_time(row, "received_at")?,
        fetch_state: row::member(row, "fetch_state")?,
        fetched_at: row::time(row, "fetched_at")?,
        terminal: row.try_get("terminal")?,
        raw: row::bytes(row, row::RAW)?,
    })
}
