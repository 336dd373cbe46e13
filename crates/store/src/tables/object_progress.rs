//! The progress of many objects in one query.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use webhook::{EventState, MaybeKnown};

use crate::error::StoreError;
use crate::json_text;
use crate::object_progress::{ObjectProgress, ObjectRow};
use crate::row::Row;
use crate::store::Store;
use crate::value::Value;

/// Each id is one parameter.
const IDS_PER_QUERY: usize = 500;

/// Table, column of the id, and the condition under which its row is complete.
const TABLES: [(&str, &str, &str); 5] = [
    (
        "responses AS object",
        "response_id",
        "NOT EXISTS (SELECT 1 FROM response_files AS file WHERE file.project = object.project \
         AND file.response_id = object.response_id AND file.state = 'pending')",
    ),
    ("batches AS object", "batch_id", "results_complete"),
    ("fine_tuning_jobs AS object", "job_id", "TRUE"),
    ("eval_runs AS object", "run_id", "TRUE"),
    (
        "agent_sessions AS object",
        "session_id",
        // A session that failed or used up its budget starts no turn.
        "coalesce(object.status IN ('failed', 'budget_reached'), FALSE) OR EXISTS (SELECT 1 FROM agent_turns AS turn \
         WHERE turn.project = object.project AND turn.session_id = object.session_id \
         AND turn.turn_id = object.last_turn_id AND turn.terminal)",
    ),
];

impl Store {
    /// The progress of each object, in the order of the ids. An id in several projects counts as one object.
    pub async fn object_progress(&self, ids: &[&str]) -> Result<Vec<ObjectProgress>, StoreError> {
        let mut found: HashMap<String, ObjectProgress> = HashMap::new();
        for ids in ids.chunks(IDS_PER_QUERY) {
            let values: Vec<Value<'_>> = ids.iter().map(|id| Value::key(id)).collect();
            let select = AssertSqlSafe(select(ids.len()));
            for part in
                self.database.read("read the progress of objects", select, &values, Part::read).await?
            {
                found.entry(part.id.clone()).or_default().add(part);
            }
        }
        let progress = |id: &&str| found.get(&*json_text::key(id)).cloned().unwrap_or_default();
        Ok(ids.iter().map(progress).collect())
    }
}

/// The states of the events, and the rows; every part along an index.
fn select(ids: usize) -> String {
    let parameters: Vec<String> = (1..=ids).map(|number| format!("${number}")).collect();
    let parameters = parameters.join(", ");
    let mut parts = vec![format!(
        "SELECT DISTINCT object_id AS id, state AS event_state, CAST(NULL AS TEXT) AS fetch_state, \
         FALSE AS is_complete FROM events WHERE object_id IN ({parameters})"
    )];
    parts.extend(TABLES.map(|(table, id, is_complete)| {
        format!(
            "SELECT {id}, CAST(NULL AS TEXT), fetch_state, {is_complete} FROM {table} WHERE {id} IN ({parameters})"
        )
    }));
    parts.join(" UNION ALL ")
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
