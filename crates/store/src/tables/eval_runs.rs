//! The table `eval_runs`.

use std::sync::LazyLock;

use super::events;
use super::upsert::upsert;
use crate::database::Database;
use crate::eval_run::EvalRunRecord;
use crate::event::Completion;
use crate::row::{self, Row};
use crate::value::Value;

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    upsert(
        "eval_runs",
        "run_id",
        &[
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
        ],
    )
});

pub(crate) async fn save(
    database: &Database,
    run: &EvalRunRecord,
    completion: &Completion,
) -> sqlx::Result<()> {
    let [raw_json, raw_bytes] = Value::json_or_bytes(run.raw.as_deref());
    let mut transaction = database.begin().await?;
    transaction
        .execute(
            UPSERT.as_str(),
            &[
                Value::text(&run.project),
                Value::key(&run.run_id),
                Value::text_if_any(run.status.as_deref()),
                Value::text_if_any(run.eval_id.as_deref()),
                Value::text_if_any(run.name.as_deref()),
                Value::text_if_any(run.model.as_deref()),
                run.total.into(),
                run.passed.into(),
                run.failed.into(),
                run.errored.into(),
                Value::text_if_any(run.report_url.as_deref()),
                Value::lifted(run.error.as_deref()),
                Value::time_if_any(run.created_at),
                Value::time(run.received_at),
                Value::text(run.fetch_state.as_str()),
                Value::time_if_any(run.fetched_at),
                run.terminal.into(),
                raw_json,
                raw_bytes,
            ],
        )
        .await?;
    events::complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

pub(super) fn record(row: &Row) -> sqlx::Result<EvalRunRecord> {
    Ok(EvalRunRecord {
        project: row.get("project")?,
        run_id: row.get("run_id")?,
        status: row.get("status")?,
        eval_id: row.get("eval_id")?,
        name: row.get("name")?,
        model: row.get("model")?,
        total: row.get("total")?,
        passed: row.get("passed")?,
        failed: row.get("failed")?,
        errored: row.get("errored")?,
        report_url: row.get("report_url")?,
        error: row.json("error")?,
        created_at: row.time("created_at")?,
        received_at: row.required_time("received_at")?,
        fetch_state: row.maybe_known("fetch_state")?,
        fetched_at: row.time("fetched_at")?,
        terminal: row.get("terminal")?,
        raw: row.json_or_bytes(row::RAW)?,
    })
}
