//! Looks an id up in every table that has ids of its own.

use sqlx::sqlite::SqliteRow;

use super::{Sqlite, batches, eval_runs, events, files, fine_tuning, responses};
use crate::found::Found;

type Read = fn(&SqliteRow) -> sqlx::Result<Found>;

const LOOKUPS: [(&str, Read); 7] = [
    ("SELECT * FROM responses WHERE response_id = ? ORDER BY project", |row| {
        responses::record(row).map(Found::Response)
    }),
    ("SELECT * FROM batches WHERE batch_id = ? ORDER BY project", |row| {
        batches::record(row).map(Found::Batch)
    }),
    ("SELECT * FROM fine_tuning_jobs WHERE job_id = ? ORDER BY project", |row| {
        fine_tuning::job(row).map(Found::FineTuningJob)
    }),
    ("SELECT * FROM fine_tuned_models WHERE model_id = ? ORDER BY project", |row| {
        fine_tuning::model(row).map(Found::Model)
    }),
    ("SELECT * FROM eval_runs WHERE run_id = ? ORDER BY project", |row| {
        eval_runs::record(row).map(Found::EvalRun)
    }),
    ("SELECT * FROM files WHERE file_id = ? ORDER BY project", |row| files::record(row).map(Found::File)),
    ("SELECT * FROM events WHERE webhook_id = ?1 OR event_id = ?1 ORDER BY received_at, webhook_id", |row| {
        events::record(row).map(Found::Event)
    }),
];

/// Sessions, alerts and calls are only known from events.
const ABOUT: (&str, Read) =
    ("SELECT * FROM events WHERE object_id = ? ORDER BY received_at, webhook_id", |row| {
        events::record(row).map(Found::Event)
    });

pub(crate) async fn find(sqlite: &Sqlite, id: &str) -> sqlx::Result<Vec<Found>> {
    let mut found = Vec::new();
    for lookup in LOOKUPS {
        look_up(sqlite, lookup, id, &mut found).await?;
    }
    if found.is_empty() {
        look_up(sqlite, ABOUT, id, &mut found).await?;
    }
    Ok(found)
}

async fn look_up(
    sqlite: &Sqlite,
    (select, read): (&'static str, Read),
    id: &str,
    found: &mut Vec<Found>,
) -> sqlx::Result<()> {
    for row in sqlx::query(select).bind(id).fetch_all(&sqlite.readers).await? {
        found.push(read(&row)?);
    }
    Ok(())
}
