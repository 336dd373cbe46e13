//! Looks an id up in every table that has ids of its own.

use super::{batches, eval_runs, events, files, fine_tuning, responses};
use crate::database::Database;
use crate::found::Found;
use crate::row::Row;
use crate::value::Value;

type Read = fn(&Row) -> sqlx::Result<Found>;

const LOOKUPS: [(&str, Read); 7] = [
    ("SELECT * FROM responses WHERE response_id = $1 ORDER BY project", |row| {
        responses::record(row).map(Found::Response)
    }),
    ("SELECT * FROM batches WHERE batch_id = $1 ORDER BY project", |row| {
        batches::record(row).map(Found::Batch)
    }),
    ("SELECT * FROM fine_tuning_jobs WHERE job_id = $1 ORDER BY project", |row| {
        fine_tuning::job(row).map(Found::FineTuningJob)
    }),
    ("SELECT * FROM fine_tuned_models WHERE model_id = $1 ORDER BY project", |row| {
        fine_tuning::model(row).map(Found::Model)
    }),
    ("SELECT * FROM eval_runs WHERE run_id = $1 ORDER BY project", |row| {
        eval_runs::record(row).map(Found::EvalRun)
    }),
    ("SELECT * FROM files WHERE file_id = $1 ORDER BY project", |row| files::record(row).map(Found::File)),
    ("SELECT * FROM events WHERE webhook_id = $1 OR event_id = $1 ORDER BY received_at, webhook_id", |row| {
        events::record(row).map(Found::Event)
    }),
];

/// Sessions, alerts and calls are only known from events.
const ABOUT: (&str, Read) =
    ("SELECT * FROM events WHERE object_id = $1 ORDER BY received_at, webhook_id", |row| {
        events::record(row).map(Found::Event)
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
