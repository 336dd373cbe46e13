//! Looks for what was not fetched: through the view of that name, and per object.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use webhook::Family;

use super::row::{self, sql_time};
use super::{Sqlite, events};
use crate::event::EventRecord;
use crate::json_text::plain;
use crate::unfetched::{FetchProgress, UnfetchedObject};

pub(crate) async fn list(
    sqlite: &Sqlite,
    since: Option<DateTime<Utc>>,
    limit: u32,
) -> sqlx::Result<Vec<UnfetchedObject>> {
    let rows = sqlx::query(
        "SELECT * FROM unfetched_objects WHERE ?1 IS NULL OR received_at >= ?1 \
         ORDER BY received_at DESC, object_id LIMIT ?2",
    )
    .bind(since.map(sql_time))
    .bind(limit)
    .fetch_all(&sqlite.readers)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(UnfetchedObject {
                project: row.try_get("project")?,
                object_id: row.try_get("object_id")?,
                family: row::member(row, "family")?,
                fetch_state: row::member(row, "fetch_state")?,
                received_at: row::required_time(row, "received_at")?,
            })
        })
        .collect()
}

pub(crate) async fn events_about(sqlite: &Sqlite, object_id: &str) -> sqlx::Result<Vec<EventRecord>> {
    let select = "SELECT * FROM events WHERE object_id = ? ORDER BY received_at DESC, webhook_id DESC";
    let rows = sqlx::query(select).bind(plain(object_id)).fetch_all(&sqlite.readers).await?;
    rows.iter().map(events::record).collect()
}

pub(crate) async fn progress(
    sqlite: &Sqlite,
    project: &str,
    family: Family,
    object_id: &str,
) -> sqlx::Result<Option<FetchProgress>> {
    let select = match family {
        Family::Response => "SELECT fetch_state FROM responses WHERE project = ? AND response_id = ?",
        Family::Batch => {
            "SELECT fetch_state, rows_stored, requests_total FROM batches WHERE project = ? AND batch_id = ?"
        }
        Family::FineTuning => "SELECT fetch_state FROM fine_tuning_jobs WHERE project = ? AND job_id = ?",
        Family::Eval => "SELECT fetch_state FROM eval_runs WHERE project = ? AND run_id = ?",
        Family::Realtime | Family::Agent | Family::Safety | Family::Other => return Ok(None),
    };
    let row =
        sqlx::query(select).bind(project).bind(plain(object_id)).fetch_optional(&sqlite.readers).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let rows = match family {
        Family::Batch => Some((row.try_get("rows_stored")?, row.try_get("requests_total")?)),
        _ => None,
    };
    Ok(Some(FetchProgress { fetch_state: row::member(&row, "fetch_state")?, rows }))
}
