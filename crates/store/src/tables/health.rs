//! What tells whether the database does its work: a write that is taken back, and how recent events ended.

use chrono::Utc;
use webhook::{EventState, Family};

use crate::database::Database;
use crate::value::Value;

/// The project of a row that is never committed.
const CHECK_PROJECT: &str = "landfall-check";
/// Of so many of the newest events, the objects are looked at: one object may have many events.
const EVENTS_MAX: i64 = 200;

/// Inserts an event of so many bytes, and takes it back.
pub(crate) async fn write_and_roll_back(database: &Database, body_bytes: usize) -> sqlx::Result<()> {
    // What cannot be compressed takes the room it has.
    let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(body_bytes).collect();
    let webhook_id = format!("check-{:016x}", fastrand::u64(..));
    let insert = "INSERT INTO events (project, webhook_id, type, family, received_at, attempts, state, body_bytes) \
                  VALUES ($1, $2, 'landfall.check', $3, $4, $5, $6, $7)";
    let values = [
        Value::name(CHECK_PROJECT),
        Value::text(&webhook_id),
        Value::name(Family::Other.as_str()),
        Value::time(Utc::now()),
        0_i64.into(),
        Value::name(EventState::Received.as_str()),
        Value::Bytes(Some(&body)),
    ];
    let mut transaction = database.begin().await?;
    transaction.execute(insert, &values).await?;
    transaction.rollback().await
}

/// Why the newest objects that events named are not there as a whole, `None` for those that are: the newest first, each
/// object once.
pub(crate) async fn recent_objects(
    database: &Database,
    objects_max: usize,
) -> sqlx::Result<Vec<(String, Option<String>)>> {
    let select = "SELECT object_id, reason FROM events WHERE object_id IS NOT NULL AND state <> 'received' \
                  AND family IN ('response', 'batch', 'fine_tuning', 'eval') \
                  ORDER BY received_at DESC, webhook_id DESC LIMIT $1";
    let mut objects: Vec<(String, Option<String>)> = Vec::new();
    for row in database.fetch_all(select, &[EVENTS_MAX.into()]).await? {
        let id: String = row.get("object_id")?;
        if objects.len() < objects_max && !objects.iter().any(|(known, _)| *known == id) {
            objects.push((id, row.get("reason")?));
        }
    }
    Ok(objects)
}

/// How many events wait for a retry because of one of these two reasons.
pub(crate) async fn count_refused(database: &Database) -> sqlx::Result<i64> {
    let count = "SELECT count(*) AS events FROM events \
                 WHERE state = 'retrying' AND reason IN ('unauthorized', 'forbidden')";
    database.fetch_one(count, &[]).await?.get("events")
}
