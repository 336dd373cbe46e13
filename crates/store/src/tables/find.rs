//! Looks up an id in every table that has its own ids.

use sqlx::AssertSqlSafe;

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

type Read = fn(&Row) -> sqlx::Result<Found>;

const LOOKUPS: [(&str, Read); 9] = [
    ("SELECT * FROM responses WHERE response_id = $1 ORDER BY project", |row| {
        ResponseRecord::read(row).map(Found::Response)
    }),
    ("SELECT * FROM batches WHERE batch_id = $1 ORDER BY project", |row| {
        batches::record(row).map(Found::Batch)
    }),
    ("SELECT * FROM fine_tuning_jobs WHERE job_id = $1 ORDER BY project", |row| {
        JobRecord::read(row).map(Found::FineTuningJob)
    }),
    ("SELECT * FROM fine_tuned_models WHERE model_id = $1 ORDER BY project", |row| {
        ModelRecord::read(row).map(Found::Model)
    }),
    ("SELECT * FROM eval_runs WHERE run_id = $1 ORDER BY project", |row| {
        EvalRunRecord::read(row).map(Found::EvalRun)
    }),
    ("SELECT * FROM safety_alerts WHERE alert_id = $1 ORDER BY project", |row| {
        SafetyAlertRecord::read(row).map(Found::SafetyAlert)
    }),
    ("SELECT * FROM agent_sessions WHERE session_id = $1 ORDER BY project", |row| {
        AgentSessionRecord::read(row).map(Found::AgentSession)
    }),
    ("SELECT * FROM agent_turns WHERE turn_id = $1 ORDER BY project, session_id", |row| {
        AgentTurnRecord::read(row).map(Found::AgentTurn)
    }),
    ("SELECT * FROM files WHERE file_id = $1 ORDER BY project", |row| FileRecord::read(row).map(Found::File)),
];

/// Calls, environments and cases appear only in events.
const ABOUT: (&str, Read) =
    ("SELECT * FROM events WHERE object_id = $1 ORDER BY received_at, webhook_id", |row| {
        EventRecord::read(row).map(Found::Event)
    });

impl Store {
    /// Rows of any table by webhook id, event id or object id; for an id that appears only in events, those events.
    pub async fn find(&self, id: &str) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        for (select, read) in LOOKUPS {
            found.extend(self.database.read(LOOK_UP, select, &[Value::key(id)], read).await?);
        }
        found.extend(self.events_with_id(id).await?);
        if found.is_empty() {
            let (select, read) = ABOUT;
            found = self.database.read(LOOK_UP, select, &[Value::key(id)], read).await?;
        }
        Ok(found)
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
