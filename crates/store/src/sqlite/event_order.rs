//! The table `events` in the order of its rows: SQLite numbers them as workers insert them, and reads them by that
//! number without a sort. Rows never go, so VACUUM, which may number them anew, finds no hole to close.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row as _};
use webhook::{EventState, Family};

use super::row::sql_time;
use super::{Sqlite, events};
use crate::event::{EventFilter, EventPlace, EventRecord};

/// Two values each; a statement takes at most 32766.
const NAMES_PER_STATEMENT: usize = 500;

pub(crate) async fn newest(sqlite: &Sqlite) -> sqlx::Result<EventPlace> {
    let newest = sqlx::query_scalar("SELECT coalesce(max(rowid), 0) FROM events");
    newest.fetch_one(&sqlite.readers).await.map(EventPlace)
}

pub(crate) async fn between(
    sqlite: &Sqlite,
    filter: &EventFilter,
    after: EventPlace,
    up_to: EventPlace,
) -> sqlx::Result<Vec<(EventPlace, EventRecord)>> {
    let rows = sqlx::query(
        "SELECT rowid AS place, * FROM events WHERE rowid > ?1 AND rowid <= ?2 \
         AND (?3 IS NULL OR project = ?3) AND (?4 IS NULL OR family = ?4) AND (?5 IS NULL OR state = ?5) \
         AND (?6 IS NULL OR received_at >= ?6) ORDER BY rowid LIMIT ?7",
    )
    .bind(after.0)
    .bind(up_to.0)
    .bind(&filter.project)
    .bind(filter.family.map(Family::as_str))
    .bind(filter.state.map(EventState::as_str))
    .bind(filter.since.map(sql_time))
    .bind(filter.limit)
    .fetch_all(&sqlite.readers)
    .await?;
    rows.iter().map(|row| Ok((EventPlace(row.try_get("place")?), events::record(row)?))).collect()
}

pub(crate) async fn count(sqlite: &Sqlite, filter: &EventFilter, up_to: EventPlace) -> sqlx::Result<u64> {
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM events WHERE rowid <= ?1 \
         AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR family = ?3) AND (?4 IS NULL OR state = ?4) \
         AND (?5 IS NULL OR received_at >= ?5)",
    )
    .bind(up_to.0)
    .bind(&filter.project)
    .bind(filter.family.map(Family::as_str))
    .bind(filter.state.map(EventState::as_str))
    .bind(filter.since.map(sql_time))
    .fetch_one(&sqlite.readers)
    .await?;
    Ok(count.unsigned_abs())
}

/// By the index of family and state.
pub(crate) async fn unsettled(sqlite: &Sqlite, family: Family, limit: u32) -> sqlx::Result<Vec<EventRecord>> {
    let rows = sqlx::query(
        "SELECT * FROM events WHERE family = ? AND state IN ('received', 'retrying', 'dead') \
         ORDER BY rowid DESC LIMIT ?",
    )
    .bind(family.as_str())
    .bind(limit)
    .fetch_all(&sqlite.readers)
    .await?;
    rows.iter().map(events::record).collect()
}

/// By the primary key.
pub(crate) async fn named(sqlite: &Sqlite, names: &[(String, String)]) -> sqlx::Result<Vec<EventRecord>> {
    let mut found = Vec::new();
    for names in names.chunks(NAMES_PER_STATEMENT) {
        let mut select = QueryBuilder::new("SELECT * FROM events WHERE (project, webhook_id) IN ");
        select.push_tuples(names, |mut name, (project, webhook_id)| {
            name.push_bind(project).push_bind(webhook_id);
        });
        let rows: Vec<SqliteRow> = select.build().fetch_all(&sqlite.readers).await?;
        for row in &rows {
            found.push(events::record(row)?);
        }
    }
    Ok(found)
}
