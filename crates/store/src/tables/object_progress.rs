//! The progress of many objects, in one query for each family.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use webhook::{EventState, Family, MaybeKnown};

use crate::error::StoreError;
use crate::json_text;
use crate::object_progress::{ObjectProgress, ObjectRow};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// Each id is one parameter.
const IDS_PER_QUERY: usize = 500;

/// Table, column of the id, and the condition under which its row is complete.
type Table = (&'static str, &'static str, &'static str);

const RESPONSES: Table = (
    "responses AS object",
    "response_id",
    "NOT EXISTS (SELECT 1 FROM response_files AS file WHERE file.project = object.project \
     AND file.response_id = object.response_id AND file.state = 'pending')",
);
const BATCHES: Table = ("batches AS object", "batch_id", "results_complete");
const JOBS: Table = ("fine_tuning_jobs AS object", "job_id", "TRUE");
const EVAL_RUNS: Table = ("eval_runs AS object", "run_id", "TRUE");
const AGENT_SESSIONS: Table = (
    "agent_sessions AS object",
    "session_id",
    // A session that failed or used up its budget starts no turn.
    "coalesce(object.status IN ('failed', 'budget_reached'), FALSE) OR EXISTS (SELECT 1 FROM agent_turns AS turn \
     WHERE turn.project = object.project AND turn.session_id = object.session_id \
     AND turn.turn_id = object.last_turn_id AND turn.terminal)",
);

impl Store {
    /// The progress of each object, by its family and id, in this order. An id in several projects counts as one object.
    pub async fn object_progress(
        &self,
        objects: &[(Family, &str)],
    ) -> Result<Vec<ObjectProgress>, StoreError> {
        let mut found: HashMap<(Family, String), ObjectProgress> = HashMap::new();
        for &family in Family::ALL {
            let ids: Vec<&str> = objects.iter().filter(|(of, _)| *of == family).map(|(_, id)| *id).collect();
            for ids in ids.chunks(IDS_PER_QUERY) {
                for part in self.progress_of(family, ids).await? {
                    found.entry((family, part.id.clone())).or_default().add(part);
                }
            }
        }
        let progress = |(family, id): &(Family, &str)| {
            found.get(&(*family, json_text::key(id).into_owned())).cloned().unwrap_or_default()
        };
        Ok(objects.iter().map(progress).collect())
    }

    async fn progress_of(&self, family: Family, ids: &[&str]) -> Result<Vec<Part>, StoreError> {
        let values: Vec<Value<'_>> = ids.iter().map(|id| Value::key(id)).collect();
        let select = AssertSqlSafe(select(family, ids.len()));
        self.database.read("read the progress of objects", select, &values, Part::read).await
    }
}

/// `None` for families whose objects are only in events, or cannot be waited for.
fn table(family: Family) -> Option<Table> {
    match family {
        Family::Response => Some(RESPONSES),
        Family::Batch => Some(BATCHES),
        Family::FineTuning => Some(JOBS),
        Family::Eval => Some(EVAL_RUNS),
        Family::Agent => Some(AGENT_SESSIONS),
        Family::Safety | Family::Realtime | Family::Other => None,
    }
}

/// The states of the events, and the rows; both along an index.
fn select(family: Family, ids: usize) -> String {
    let parameters: Vec<String> = (1..=ids).map(|number| format!("${number}")).collect();
    let parameters = parameters.join(", ");
    let events = format!(
        "SELECT DISTINCT object_id AS id, state AS event_state, CAST(NULL AS TEXT) AS fetch_state, \
         FALSE AS is_complete FROM events WHERE object_id IN ({parameters})"
    );
    let Some((table, id, is_complete)) = table(family) else { return events };
    format!(
        "{events} UNION ALL SELECT {id}, CAST(NULL AS TEXT), fetch_state, {is_complete} FROM {table} \
         WHERE {id} IN ({parameters})"
    )
}

/// One row of the result: a state of events, or an object's row.
struct Part {
    id: String,
    event_state: Option<MaybeKnown<EventState>>,
    row: Option<ObjectRow>,
}

impl Part {
    fn read(row: &Row) -> sqlx::Result<Self> {
        let is_complete = row.get("is_complete")?;
        let object = |fetch_state| ObjectRow { fetch_state, is_complete };
        Ok(Self {
            id: row.get("id")?,
            event_state: row.parsed("event_state")?,
            row: row.parsed("fetch_state")?.map(object),
        })
    }
}

impl ObjectProgress {
    fn add(&mut self, part: Part) {
        match part.event_state.as_ref().map(MaybeKnown::known) {
            None => {}
            Some(Some(EventState::Stored)) => self.has_stored_event = true,
            Some(Some(EventState::Dead)) => self.has_dead_event = true,
            // A state of a newer version may still change.
            Some(Some(EventState::Received | EventState::Retrying) | None) => self.has_open_event = true,
        }
        if let Some(row) = part.row {
            self.row = Some(row);
        }
    }
}
