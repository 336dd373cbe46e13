//! Looks an id up in every table that has ids of its own.

use super::batches;
use crate::columns::Record as _;
use crate::database::Database;
use crate::eval_run::EvalRunRecord;
use crate::event::EventRecord;
use crate::files::FileRecord;
use crate::fine_tuning::{JobRecord, ModelRecord};
use crate::found::Found;
use crate::response::ResponseRecord;
use crate::row::Row;
use crate::value::Value;

type Read = fn(&Row) -> sqlx::Result<Found>;

const LOOKUPS: [(&str, Read); 7] = [
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
    ("SELECT * FROM files WHERE file_id = $1 ORDER BY project", |row| FileRecord::read(row).map(Found::File)),
    ("SELECT * FROM events WHERE webhook_id = $1 OR event_id = $1 ORDER BY received_at, webhook_id", |row| {
        EventRecord::read(row).map(Found::Event)
    }),
];

/// Sessions, alerts and calls are only known from events.
const ABOUT: (&str, Read) =
    ("SELECT * FROM events WHERE object_id = $1 ORDER BY received_at, webhook_id", |row| {
        EventRecord::read(row).map(Found::Event)
    });

pub(crate) async fn find(database: &Database, id: &str) -> sqlx::Result<Vec<Found>> {
    let mut found = Vec::new();
    for lookup in LOOKUPS {
        look_up(database, lookup, id, &mut found).await?;
    }
    if found.is_empty() {
        look_up(database, ABOUT, id, &mut found).await?;
    }
    Ok(found)
}

async fn look_up(
    database: &Database,
    (select, read): (&'static str, Read),
    id: &str,
    found: &mut Vec<Found>,
) -> sqlx::Result<()> {
    for row in database.fetch_all(select, &[Value::key(id)]).await? {
        found.push(read(&row)?);
    }
    Ok(())
}
