//! The result of looking up an id.

use serde::Serialize;

use crate::agent_session::{AgentSessionRecord, AgentTurnRecord};
use crate::batch::StoredBatch;
use crate::eval_run::EvalRunRecord;
use crate::event::EventRecord;
use crate::files::FileRecord;
use crate::fine_tuning::{JobRecord, ModelRecord};
use crate::response::ResponseRecord;
use crate::safety_alert::SafetyAlertRecord;

/// A row of any table that has its own ids. In JSON: its fields, and `kind`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Found {
    Event(EventRecord),
    Response(ResponseRecord),
    Batch(StoredBatch),
    FineTuningJob(JobRecord),
    Model(ModelRecord),
    EvalRun(EvalRunRecord),
    SafetyAlert(SafetyAlertRecord),
    AgentSession(AgentSessionRecord),
    AgentTurn(AgentTurnRecord),
    File(FileRecord),
}
