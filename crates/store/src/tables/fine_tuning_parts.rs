//! The tables `fine_tuning_checkpoints` and `fine_tuning_events`, and their states in `fine_tuning_jobs`.

use std::sync::LazyLock;

use webhook::MaybeKnown;

use super::upsert::{Existing, upsert};
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::fine_tuning::JobRecord;
use crate::fine_tuning_parts::{CheckpointRecord, JobEventRecord, JobParts};
use crate::part_state::PartState;
use crate::row::Row;
use crate::schema::{FINE_TUNING_CHECKPOINTS, FINE_TUNING_EVENTS};
use crate::store::Store;
use crate::value::Value;

static UPSERT_CHECKPOINT: LazyLock<String> = LazyLock::new(|| {
    upsert(&FINE_TUNING_CHECKPOINTS, &FINE_TUNING_CHECKPOINTS.columns(), Existing::Complete)
});

static UPSERT_EVENT: LazyLock<String> =
    LazyLock::new(|| upsert(&FINE_TUNING_EVENTS, &FINE_TUNING_EVENTS.columns(), Existing::Complete));

static SETTLE_CHECKPOINTS: LazyLock<String> = LazyLock::new(|| settle("checkpoints_state"));
static SETTLE_EVENTS: LazyLock<String> = LazyLock::new(|| settle("events_state"));

fn settle(column: &str) -> String {
    let is_open = PartState::is_open(column);
    format!("UPDATE fine_tuning_jobs SET {column} = $3 WHERE project = $1 AND job_id = $2 AND {is_open}")
}

impl Store {
    /// The lists below a job.
    pub async fn fine_tuning_parts(&self, project: &str, job_id: &str) -> Result<JobParts, StoreError> {
        const READ: &str = "read the lists of a job";
        let job = [Value::text(project), Value::key(job_id)];
        let states = "SELECT checkpoints_state, events_state FROM fine_tuning_jobs \
                      WHERE project = $1 AND job_id = $2";
        let read = |row: &Row| Ok((row.parsed("checkpoints_state")?, row.parsed("events_state")?));
        let states = self.database.read(READ, states, &job, read).await?.pop();
        let (checkpoints_state, events_state) = states.unwrap_or_default();
        let checkpoints = "SELECT * FROM fine_tuning_checkpoints WHERE project = $1 AND job_id = $2 \
                           ORDER BY step_number IS NULL, step_number, checkpoint_id";
        let events = "SELECT * FROM fine_tuning_events WHERE project = $1 AND job_id = $2 \
                      ORDER BY created_at IS NULL, created_at DESC, event_id DESC";
        Ok(JobParts {
            checkpoints_state,
            checkpoints: self.database.read(READ, checkpoints, &job, CheckpointRecord::read).await?,
            events_state,
            events: self.database.read(READ, events, &job, JobEventRecord::read).await?,
        })
    }

    /// The number of jobs of which the API key was not allowed to read a list, and the id of one of them.
    pub async fn forbidden_fine_tuning_parts(&self) -> Result<(i64, Option<String>), StoreError> {
        let select = "SELECT count(*) AS jobs, max(job_id) AS job_id FROM fine_tuning_jobs \
                      WHERE 'forbidden' IN (checkpoints_state, events_state)";
        let counted = |row: &Row| Ok((row.get("jobs")?, row.get("job_id")?));
        self.database.read_one("count the lists of jobs", select, &[], counted).await
    }
}

/// Adds the lists to their job. What is stored stays stored.
pub(super) async fn save_in(
    transaction: &mut WriteTransaction,
    job: &JobRecord,
    parts: &JobParts,
) -> sqlx::Result<()> {
    for checkpoint in &parts.checkpoints {
        transaction.execute(UPSERT_CHECKPOINT.as_str(), &of_job(job, checkpoint.values())).await?;
    }
    for event in &parts.events {
        transaction.execute(UPSERT_EVENT.as_str(), &of_job(job, event.values())).await?;
    }
    let states: [(&LazyLock<String>, &Option<MaybeKnown<PartState>>); 2] =
        [(&SETTLE_CHECKPOINTS, &parts.checkpoints_state), (&SETTLE_EVENTS, &parts.events_state)];
    for (settle, state) in states {
        if let Some(state) = state {
            transaction.execute(settle.as_str(), &of_job(job, vec![Value::text(state.as_str())])).await?;
        }
    }
    Ok(())
}

fn of_job<'a>(job: &'a JobRecord, mut values: Vec<Value<'a>>) -> Vec<Value<'a>> {
    values.splice(0..0, [Value::text(&job.project), Value::key(&job.job_id)]);
    values
}
