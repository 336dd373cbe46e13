//! Looks for what was not fetched: through the view of that name, per object, and among batches whose rows are not one a
//! request, unless their files were read again since.

use chrono::{DateTime, Utc};
use webhook::Family;

use crate::columns::Record as _;
use crate::database::Database;
use crate::event::EventRecord;
use crate::unfetched::{FetchProgress, UnfetchedObject};
use crate::value::Value;

pub(crate) async fn list(
    database: &Database,
    since: Option<DateTime<Utc>>,
    limit: u32,
) -> sqlx::Result<Vec<UnfetchedObject>> {
    let select = "SELECT family, project, object_id, fetch_state, received_at FROM unfetched_objects \
                  WHERE $1 IS NULL OR received_at >= $1 \
                  UNION ALL SELECT 'batch', project, batch_id, fetch_state, received_at FROM batches \
                  WHERE ($1 IS NULL OR received_at >= $1) AND fetch_state = 'fetched' AND results_complete \
                  AND errors IS NULL AND requests_total <> rows_stored AND results_confirmed_at IS NULL \
                  ORDER BY received_at DESC, object_id LIMIT $2";
    let rows = database.fetch_all(select, &[Value::time_if_any(since), limit.into()]).await?;
    rows.iter()
        .map(|row| {
            Ok(UnfetchedObject {
                project: row.get("project")?,
                object_id: row.get("object_id")?,
                family: row.maybe_known("family")?,
                fetch_state: row.maybe_known("fetch_state")?,
                received_at: row.required_time("received_at")?,
            })
        })
        .collect()
}

pub(crate) async fn events_about(database: &Database, object_id: &str) -> sqlx::Result<Vec<EventRecord>> {
    let select = "SELECT * FROM events WHERE object_id = $1 ORDER BY received_at DESC, webhook_id DESC";
    let rows = database.fetch_all(select, &[Value::key(object_id)]).await?;
    rows.iter().map(EventRecord::read).collect()
}

pub(crate) async fn progress(
    database: &Database,
    project: &str,
    family: Family,
    object_id: &str,
) -> sqlx::Result<Option<FetchProgress>> {
    let select = match family {
        Family::Response => "SELECT fetch_state FROM responses WHERE project = $1 AND response_id = $2",
        Family::Batch => {
            "SELECT fetch_state, rows_stored, requests_total FROM batches WHERE project = $1 AND batch_id = $2"
        }
        Family::FineTuning => "SELECT fetch_state FROM fine_tuning_jobs WHERE project = $1 AND job_id = $2",
        Family::Eval => "SELECT fetch_state FROM eval_runs WHERE project = $1 AND run_id = $2",
        Family::Realtime | Family::Agent | Family::Safety | Family::Other => return Ok(None),
    };
    let row = database.fetch_optional(select, &[Value::text(project), Value::key(object_id)]).await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let rows = match family {
        Family::Batch => Some((row.get("rows_stored")?, row.get("requests_total")?)),
        _ => None,
    };
    Ok(Some(FetchProgress { fetch_state: row.maybe_known("fetch_state")?, rows }))
}
