//! Looks up an id in every table that has its own ids, or in one of them.

use sqlx::AssertSqlSafe;
use webhook::Family;

use super::{batches, projects};
use crate::agent_session::{AgentSessionRecord, AgentTurnRecord};
use crate::columns::Record as _;
use crate::error::StoreError;
use crate::eval_run::EvalRunRecord;
use crate::event::EventRecord;
use crate::files::FileRecord;
use crate::fine_tuning::{JobRecord, ModelRecord};
use crate::found::Found;
use crate::response::ResponseRecord;
use crate::row::Row;
use crate::safety_alert::SafetyAlertRecord;
use crate::store::Store;
use crate::value::Value;

const LOOK_UP: &str = "look up an id";

/// A query for an id, and how to read its rows.
type Lookup = (&'static str, fn(&Row) -> sqlx::Result<Found>);

const RESPONSES: Lookup = ("SELECT * FROM responses WHERE response_id = $1 ORDER BY project", |row| {
    ResponseRecord::read(row).map(Found::Response)
});
const BATCHES: Lookup = ("SELECT * FROM batches WHERE batch_id = $1 ORDER BY project", |row| {
    batches::record(row).map(Found::Batch)
});
const JOBS: Lookup = ("SELECT * FROM fine_tuning_jobs WHERE job_id = $1 ORDER BY project", |row| {
    JobRecord::read(row).map(Found::FineTuningJob)
});
const MODELS: Lookup = ("SELECT * FROM fine_tuned_models WHERE model_id = $1 ORDER BY project", |row| {
    ModelRecord::read(row).map(Found::Model)
});
const EVAL_RUNS: Lookup = ("SELECT * FROM eval_runs WHERE run_id = $1 ORDER BY project", |row| {
    EvalRunRecord::read(row).map(Found::EvalRun)
});
const SAFETY_ALERTS: Lookup = ("SELECT * FROM safety_alerts WHERE alert_id = $1 ORDER BY project", |row| {
    SafetyAlertRecord::read(row).map(Found::SafetyAlert)
});
const AGENT_SESSIONS: Lookup =
    ("SELECT * FROM agent_sessions WHERE session_id = $1 ORDER BY project", |row| {
        AgentSessionRecord::read(row).map(Found::AgentSession)
    });
const AGENT_TURNS: Lookup =
    ("SELECT * FROM agent_turns WHERE turn_id = $1 ORDER BY project, session_id", |row| {
        AgentTurnRecord::read(row).map(Found::AgentTurn)
    });
const FILES: Lookup =
    ("SELECT * FROM files WHERE file_id = $1 ORDER BY project", |row| FileRecord::read(row).map(Found::File));

/// Calls, environments and cases appear only in events.
const ABOUT: Lookup = ("SELECT * FROM events WHERE object_id = $1 ORDER BY received_at, webhook_id", |row| {
    EventRecord::read(row).map(Found::Event)
});

/// The tables whose ids are unique within a project.
const ALL: [Lookup; 9] =
    [RESPONSES, BATCHES, JOBS, MODELS, EVAL_RUNS, SAFETY_ALERTS, AGENT_SESSIONS, AGENT_TURNS, FILES];

impl Store {
    /// Rows of any table by webhook id, event id or object id; for an id that appears only in events, those events.
    pub async fn find(&self, id: &str) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for lookup in ALL {
            found.extend(self.look_up(lookup, id).await?);
        }
        found.extend(self.events_with_id(id).await?);
        if found.is_empty() {
            found = self.look_up(ABOUT, id).await?;
        }
        Ok(found)
    }

    /// The objects of a family by their id, from its table alone.
    pub async fn find_object(&self, family: Family, id: &str) -> Result<Vec<Found>, StoreError> {
        let table = match family {
            Family::Response => RESPONSES,
            Family::Batch => BATCHES,
            Family::FineTuning => JOBS,
            Family::Eval => EVAL_RUNS,
            Family::Safety => SAFETY_ALERTS,
            Family::Agent => AGENT_SESSIONS,
            Family::Realtime | Family::Other => return Ok(Vec::new()),
        };
        self.look_up(table, id).await
    }

    /// A raw file by its id. If several projects have it, the one of the first by name.
    pub async fn find_file(&self, file_id: &str) -> Result<Option<FileRecord>, StoreError> {
        let (select, _) = FILES;
        let files = self.database.read(LOOK_UP, select, &[Value::key(file_id)], FileRecord::read).await?;
        Ok(files.into_iter().next())
    }

    async fn look_up(&self, (select, read): Lookup, id: &str) -> Result<Vec<Found>, StoreError> {
        self.database.read(LOOK_UP, select, &[Value::key(id)], read).await
    }

    /// Two lookups: with `OR` SQLite would use neither index.
    async fn events_with_id(&self, id: &str) -> Result<Vec<Found>, StoreError> {
        let in_any_project = projects::in_any("events");
        let by_webhook_id = format!("SELECT * FROM events WHERE {in_any_project} AND webhook_id = $1");
        let by_event_id = "SELECT * FROM events WHERE event_id = $1 AND webhook_id <> $1";
        let id = [Value::key(id)];
        let mut events: Vec<EventRecord> =
            self.database.read(LOOK_UP, AssertSqlSafe(by_webhook_id), &id, EventRecord::read).await?;
        events.extend(self.database.read(LOOK_UP, by_event_id, &id, EventRecord::read).await?);
        events.sort_by(|a, b| (a.received_at, &a.webhook_id).cmp(&(b.received_at, &b.webhook_id)));
        Ok(events.into_iter().map(Found::Event).collect())
    }
}
