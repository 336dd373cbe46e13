//! The table `events` in the order in which workers first saw events: the column `place`, which grows with each row.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;
use webhook::{EventState, Family};

use crate::columns::Record as _;
use crate::database::Database;
use crate::event::{EventFilter, EventPlace, EventRecord};
use crate::value::Value;

/// Two values each; SQLite's statements take at most 32766.
const NAMES_PER_STATEMENT: usize = 500;

pub(crate) async fn newest(database: &Database) -> sqlx::Result<EventPlace> {
    database.settled_place().await
}

pub(crate) async fn between(
    database: &Database,
    filter: &EventFilter,
    after: EventPlace,
    up_to: EventPlace,
) -> sqlx::Result<Vec<(EventPlace, EventRecord)>> {
    let rows = database
        .fetch_all(
            "SELECT * FROM events WHERE place > $1 AND place <= $2 \
             AND ($3 IS NULL OR project = $3) AND ($4 IS NULL OR family = $4) AND ($5 IS NULL OR state = $5) \
             AND ($6 IS NULL OR received_at >= $6) ORDER BY place LIMIT $7",
            &[
                after.0.into(),
                up_to.0.into(),
                Value::text_if_any(filter.project.as_deref()),
                Value::text_if_any(filter.family.map(Family::as_str)),
                Value::text_if_any(filter.state.map(EventState::as_str)),
                Value::time_if_any(filter.since),
                filter.limit.into(),
            ],
        )
        .await?;
    rows.iter().map(|row| Ok((EventPlace(row.get("place")?), EventRecord::read(row)?))).collect()
}

pub(crate) async fn count(database: &Database, filter: &EventFilter, up_to: EventPlace) -> sqlx::Result<u64> {
    let count = "SELECT count(*) AS events FROM events WHERE place <= $1 \
         AND ($2 IS NULL OR project = $2) AND ($3 IS NULL OR family = $3) AND ($4 IS NULL OR state = $4) \
         AND ($5 IS NULL OR received_at >= $5)";
    let values = [
        up_to.0.into(),
        Value::text_if_any(filter.project.as_deref()),
        Value::text_if_any(filter.family.map(Family::as_str)),
        Value::text_if_any(filter.state.map(EventState::as_str)),
        Value::time_if_any(filter.since),
    ];
    database.fetch_one(count, &values).await?.count("events")
}

/// By the index of family and state.
pub(crate) async fn unsettled(
    database: &Database,
    family: Family,
    limit: u32,
) -> sqlx::Result<Vec<EventRecord>> {
    let select = "SELECT * FROM events WHERE family = $1 AND state IN ('received', 'retrying', 'dead') \
         ORDER BY place DESC LIMIT $2";
    let rows = database.fetch_all(select, &[Value::name(family.as_str()), limit.into()]).await?;
    rows.iter().map(EventRecord::read).collect()
}

/// By the primary key.
pub(crate) async fn named(database: &Database, names: &[(String, String)]) -> sqlx::Result<Vec<EventRecord>> {
    let mut found = Vec::new();
    for names in names.chunks(NAMES_PER_STATEMENT) {
        let mut select = "SELECT * FROM events WHERE (project, webhook_id) IN (".to_owned();
        let mut values = Vec::with_capacity(2 * names.len());
        for (project, webhook_id) in names {
            let separator = if values.is_empty() { "" } else { ", " };
            write!(select, "{separator}(${}, ${})", values.len() + 1, values.len() + 2)
                .expect("a string takes all");
            values.extend([Value::text(project), Value::key(webhook_id)]);
        }
        select.push(')');
        for row in database.fetch_all(AssertSqlSafe(select), &values).await? {
            found.push(EventRecord::read(&row)?);
        }
    }
    Ok(found)
}
