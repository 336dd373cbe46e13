//! The table `events`.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use webhook::{EventState, Family};

use super::row::{self, sql_time};
use super::{Sqlite, WriteTransaction};
use crate::event::{Completion, EventFilter, EventRecord, Failure, NewEvent};
use crate::json_text::{JsonColumns, plain};

/// An API's error page is cut here; the whole error is in the log.
const ERROR_CHARS_MAX: usize = 2000;

pub(crate) async fn record_delivery(
    sqlite: &Sqlite,
    event: &NewEvent,
    attempt: u32,
) -> sqlx::Result<EventState> {
    let mut transaction = sqlite.begin().await?;
    let state = record_in(&mut transaction, event, attempt).await?;
    transaction.commit().await?;
    Ok(state)
}

/// An event that is its own effect: first delivery and completion in one transaction.
pub(crate) async fn keep(sqlite: &Sqlite, event: &NewEvent, completion: &Completion) -> sqlx::Result<()> {
    let mut transaction = sqlite.begin().await?;
    record_in(&mut transaction, event, completion.attempts).await?;
    complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

async fn record_in(
    transaction: &mut WriteTransaction,
    event: &NewEvent,
    attempt: u32,
) -> sqlx::Result<EventState> {
    let found = sqlx::query("SELECT state FROM events WHERE project = ? AND webhook_id = ?")
        .bind(&event.project)
        .bind(&event.webhook_id)
        .fetch_optional(&mut **transaction)
        .await?;
    let Some(found) = found else {
        insert(transaction, event, attempt).await?;
        return Ok(EventState::Received);
    };
    let state = row::member(&found, "state")?;
    match state {
        EventState::Received | EventState::Retrying => count_attempt(transaction, event, attempt).await?,
        EventState::Stored | EventState::Dead => {}
    }
    Ok(state)
}

async fn insert(transaction: &mut WriteTransaction, event: &NewEvent, attempt: u32) -> sqlx::Result<()> {
    let body = JsonColumns::of(Some(&event.body));
    sqlx::query(
        "INSERT INTO events (project, webhook_id, event_id, type, family, object_id, created_at, received_at, attempts, \
         state, body, body_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&event.project)
    .bind(&event.webhook_id)
    .bind(event.event_id.as_deref().map(plain))
    .bind(plain(&event.event_type))
    .bind(event.family.as_str())
    .bind(event.object_id.as_deref().map(plain))
    .bind(event.created_at.map(sql_time))
    .bind(sql_time(event.received_at))
    .bind(attempt)
    .bind(EventState::Received.as_str())
    .bind(body.text)
    .bind(body.bytes)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

async fn count_attempt(
    transaction: &mut WriteTransaction,
    event: &NewEvent,
    attempt: u32,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE events SET attempts = ? WHERE project = ? AND webhook_id = ? AND attempts < ?")
        .bind(attempt)
        .bind(&event.project)
        .bind(&event.webhook_id)
        .bind(attempt)
        .execute(&mut **transaction)
        .await
        .map(drop)
}

pub(crate) async fn complete(sqlite: &Sqlite, completion: &Completion) -> sqlx::Result<()> {
    let mut transaction = sqlite.begin().await?;
    complete_in(&mut transaction, completion).await?;
    transaction.commit().await
}

/// As part of the transaction that stores the event's effect.
pub(super) async fn complete_in(
    transaction: &mut WriteTransaction,
    completion: &Completion,
) -> sqlx::Result<()> {
    sqlx::query(
        // A replay that brings the whole object takes back why it was not there; nothing else changes a stored row.
        "UPDATE events SET state = 'stored', attempts = max(attempts, ?1), processed_at = ?2, reason = ?3, \
         last_error = NULL WHERE project = ?4 AND webhook_id = ?5 \
         AND (state <> 'stored' OR (reason IS NOT NULL AND ?3 IS NULL))",
    )
    .bind(completion.attempts)
    .bind(sql_time(completion.processed_at))
    .bind(completion.reason.map(|reason| reason.as_str()))
    .bind(&completion.project)
    .bind(&completion.webhook_id)
    .execute(&mut **transaction)
    .await
    .map(drop)
}

pub(crate) async fn fail(sqlite: &Sqlite, failure: &Failure) -> sqlx::Result<()> {
    let error: String = failure.error.chars().take(ERROR_CHARS_MAX).collect();
    let mut transaction = sqlite.begin().await?;
    sqlx::query(
        "UPDATE events SET state = ?, attempts = max(attempts, ?), reason = ?, last_error = ? \
         WHERE project = ? AND webhook_id = ? AND state <> 'stored'",
    )
    .bind(failure.state.as_str())
    .bind(failure.attempts)
    .bind(failure.reason.as_str())
    .bind(plain(&error))
    .bind(&failure.project)
    .bind(&failure.webhook_id)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

pub(crate) async fn list(sqlite: &Sqlite, filter: &EventFilter) -> sqlx::Result<Vec<EventRecord>> {
    let rows = sqlx::query(
        "SELECT * FROM events WHERE (?1 IS NULL OR project = ?1) AND (?2 IS NULL OR family = ?2) \
         AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR received_at >= ?4) \
         ORDER BY received_at DESC, webhook_id DESC LIMIT ?5",
    )
    .bind(&filter.project)
    .bind(filter.family.map(Family::as_str))
    .bind(filter.state.map(EventState::as_str))
    .bind(filter.since.map(sql_time))
    .bind(filter.limit)
    .fetch_all(&sqlite.readers)
    .await?;
    rows.iter().map(record).collect()
}

pub(crate) async fn count(sqlite: &Sqlite) -> sqlx::Result<Vec<(Family, EventState, i64)>> {
    let count =
        "SELECT family, state, count(*) AS events FROM events GROUP BY family, state ORDER BY family, state";
    let rows = sqlx::query(count).fetch_all(&sqlite.readers).await?;
    rows.iter()
        .map(|row| Ok((row::member(row, "family")?, row::member(row, "state")?, row.try_get("events")?)))
        .collect()
}

pub(super) fn record(row: &SqliteRow) -> sqlx::Result<EventRecord> {
    Ok(EventRecord {
        project: row.try_get("project")?,
        webhook_id: row.try_get("webhook_id")?,
        event_id: row.try_get("event_id")?,
        event_type: row.try_get("type")?,
        family: row::member(row, "family")?,
        object_id: row.try_get("object_id")?,
        created_at: row::time(row, "created_at")?,
        received_at: row::required_time(row, "received_at")?,
        processed_at: row::time(row, "processed_at")?,
        attempts: row.try_get("attempts")?,
        state: row::member(row, "state")?,
        reason: row::parsed(row, "reason")?,
        last_error: row.try_get("last_error")?,
        body: row::bytes(row, row::BODY)?.unwrap_or_default(),
    })
}
