//! Finds objects that were not fetched: through the view `unfetched_objects`, and batches without one row per request,
//! unless their files have been fetched again since.

use chrono::{DateTime, Utc};
use webhook::Family;

use crate::columns::Record as _;
use crate::error::StoreError;
use crate::event::EventRecord;
use crate::row::Row;
use crate::store::Store;
use crate::unfetched::{FetchProgress, UnfetchedObject};
use crate::value::Value;

impl Store {
    /// Objects that are known but were not fetched, or not completely; the last received first.
    pub async fn unfetched_objects(
        &self,
        since: Option<DateTime<Utc>>,
        limit: u32,
    ) -> Result<Vec<UnfetchedObject>, StoreError> {
        let select = "SELECT family, project, object_id, fetch_state, received_at FROM unfetched_objects \
                      WHERE $1 IS NULL OR received_at >= $1 \
                      UNION ALL SELECT 'batch', project, batch_id, fetch_state, received_at FROM batches \
                      WHERE ($1 IS NULL OR received_at >= $1) AND fetch_state = 'fetched' AND results_complete \
                      AND errors IS NULL AND requests_total <> rows_stored AND results_confirmed_at IS NULL \
                      ORDER BY received_at DESC, object_id LIMIT $2";
        let object = |row: &Row| {
            Ok(UnfetchedObject {
                project: row.get("project")?,
                object_id: row.get("object_id")?,
                family: row.maybe_known("family")?,
                fetch_state: row.maybe_known("fetch_state")?,
                received_at: row.required_time("received_at")?,
            })
        };
        let values = [Value::opt_time(since), limit.into()];
        self.database.read("find objects that were not fetched", select, &values, object).await
    }

    /// The events of an object, newest first.
    pub async fn events_about(&self, object_id: &str) -> Result<Vec<EventRecord>, StoreError> {
        let select = "SELECT * FROM events WHERE object_id = $1 ORDER BY received_at DESC, webhook_id DESC";
        let doing = "read an object's events";
        self.database.read(doing, select, &[Value::key(object_id)], EventRecord::read).await
    }

    /// The fetch state of an object; `None` if it is not stored, or its family has no objects.
    pub async fn fetch_progress(
        &self,
        project: &str,
        family: Family,
        object_id: &str,
    ) -> Result<Option<FetchProgress>, StoreError> {
        let select = match family {
            Family::Response => "SELECT fetch_state FROM responses WHERE project = $1 AND response_id = $2",
            Family::Batch => {
                "SELECT fetch_state, rows_stored, requests_total FROM batches WHERE project = $1 AND batch_id = $2"
            }
            Family::FineTuning => {
                "SELECT fetch_state FROM fine_tuning_jobs WHERE project = $1 AND job_id = $2"
            }
            Family::Eval => "SELECT fetch_state FROM eval_runs WHERE project = $1 AND run_id = $2",
            Family::Safety => "SELECT fetch_state FROM safety_alerts WHERE project = $1 AND alert_id = $2",
            Family::Agent => "SELECT fetch_state FROM agent_sessions WHERE project = $1 AND session_id = $2",
            Family::Realtime | Family::Other => return Ok(None),
        };
        let progress = |row: &Row| {
            let rows = match family {
                Family::Batch => Some((row.get("rows_stored")?, row.get("requests_total")?)),
                _ => None,
            };
            Ok(FetchProgress { fetch_state: row.maybe_known("fetch_state")?, rows })
        };
        let name = [Value::text(project), Value::key(object_id)];
        Ok(self.database.read("read an object's state", select, &name, progress).await?.pop())
    }
}
