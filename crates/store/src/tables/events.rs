//! The table `events`. [`complete_in`] is the only function that marks an event as stored, in the transaction of its
//! effect.

use std::sync::LazyLock;

use webhook::{EventState, Family, MaybeKnown};

use super::event_attempts::{self, Ended};
use super::notifications;
use super::upsert::insert;
use crate::columns::{Kind, Record as _};
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::{Completion, EventFilter, Failure, FinishedEvent, NewEvent};
use crate::event_attempt::AttemptOutcome;
use crate::schema::EVENTS;
use crate::store::Store;
use crate::value::Value;

/// Longer errors, such as error pages of an API, are truncated; the log has the whole error.
const ERROR_CHARS_MAX: usize = 2000;

impl Store {
    /// Inserts the event at its first delivery, and counts attempts unless it is settled. Returns the previous state.
    pub async fn record_delivery(
        &self,
        event: &NewEvent,
        attempt: u32,
    ) -> Result<MaybeKnown<EventState>, StoreError> {
        let steps = async |transaction: &mut WriteTransaction| record_in(transaction, event, attempt).await;
        self.database.write("record a delivery", steps).await
    }

    /// Stores an event without an object to fetch. An event that is already stored does not change.
    pub async fn save_event(&self, event: &NewEvent, completion: &Completion) -> Result<(), StoreError> {
        let finished = FinishedEvent { event: event.clone(), response: None, completion: completion.clone() };
        self.save_finished(&[], &[finished]).await
    }

    /// Marks the event as `stored`. An event that is already stored does not change.
    pub async fn complete_event(&self, completion: &Completion) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| complete_in(transaction, completion).await;
        self.database.write("complete an event", steps).await
    }

    /// Records a failed attempt; never changes a `stored` event.
    pub async fn fail_event(&self, failure: &Failure) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| fail_in(transaction, failure).await;
        self.database.write("record a failed attempt", steps).await
    }
}

impl EventFilter {
    /// Project, family, state and since, each `NULL` if not filtered.
    pub(super) fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::opt_text(self.project.as_deref()),
            Value::opt_text(self.family.map(Family::as_str)),
            Value::opt_text(self.state.map(EventState::as_str)),
            Value::opt_time(self.since),
        ]
    }
}

pub(super) async fn record_in(
    transaction: &mut WriteTransaction,
    event: &NewEvent,
    attempt: u32,
) -> sqlx::Result<MaybeKnown<EventState>> {
    if add(transaction, event, attempt).await? {
        return Ok(EventState::Received.into());
    }
    let select = "SELECT state FROM events WHERE project = $1 AND webhook_id = $2";
    let name = [Value::text(&event.project), Value::key(&event.webhook_id)];
    let found = transaction.lock_row(select, &name).await?.ok_or(sqlx::Error::RowNotFound)?;
    let state = found.maybe_known("state")?;
    if state != EventState::Stored && state != EventState::Dead {
        count_attempt(transaction, event, attempt).await?;
    }
    Ok(state)
}

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns = [NewEvent::COLUMNS, &[("attempts", Kind::Integer), ("state", Kind::Text)]].concat();
    insert(&EVENTS, &columns) + " ON CONFLICT (project, webhook_id) DO NOTHING"
});

/// Inserts the event; false if it already exists.
async fn add(transaction: &mut WriteTransaction, event: &NewEvent, attempt: u32) -> sqlx::Result<bool> {
    let mut values = event.values();
    values.extend([attempt.into(), Value::member(EventState::Received)]);
    Ok(transaction.execute(INSERT.as_str(), &values).await? > 0)
}

async fn count_attempt(
    transaction: &mut WriteTransaction,
    event: &NewEvent,
    attempt: u32,
) -> sqlx::Result<()> {
    transaction
        .execute(
            "UPDATE events SET attempts = $1 WHERE project = $2 AND webhook_id = $3 AND attempts < $1",
            &[attempt.into(), Value::text(&event.project), Value::key(&event.webhook_id)],
        )
        .await
        .map(drop)
}

/// Marks the event as stored, in the transaction that stores its effect.
pub(super) async fn complete_in(
    transaction: &mut WriteTransaction,
    completion: &Completion,
) -> sqlx::Result<()> {
    let changed = transaction
        .execute(
            // A replay that completes the object clears the reason; nothing else changes a stored row.
            "UPDATE events SET state = 'stored', attempts = CASE WHEN attempts < $1 THEN $1 ELSE attempts END, \
             processed_at = $2, reason = $3, last_error = NULL WHERE project = $4 AND webhook_id = $5 \
             AND (state <> 'stored' OR (reason IS NOT NULL AND $3 IS NULL))",
            &[
                completion.attempts.into(),
                Value::time(completion.processed_at),
                Value::opt_text(completion.reason.map(|reason| reason.as_str())),
                Value::text(&completion.project),
                Value::key(&completion.webhook_id),
            ],
        )
        .await?;
    if let Some(attempt) = completion.attempt.as_ref().filter(|_| changed > 0 && completion.attempts > 1) {
        let ended = Ended {
            project: &completion.project,
            webhook_id: &completion.webhook_id,
            attempts: completion.attempts,
            outcome: AttemptOutcome::Stored,
            reason: completion.reason,
        };
        event_attempts::add_in(transaction, &ended, attempt).await?;
    }
    notifications::add_in(transaction, &completion.notifications).await
}

async fn fail_in(transaction: &mut WriteTransaction, failure: &Failure) -> sqlx::Result<()> {
    let error: String = failure.error.chars().take(ERROR_CHARS_MAX).collect();
    let changed = transaction
        .execute(
            "UPDATE events SET state = $1, attempts = CASE WHEN attempts < $2 THEN $2 ELSE attempts END, \
             reason = $3, last_error = $4 WHERE project = $5 AND webhook_id = $6 AND state <> 'stored'",
            &[
                Value::member(failure.state),
                failure.attempts.into(),
                Value::member(failure.reason),
                Value::text(&error),
                Value::text(&failure.project),
                Value::key(&failure.webhook_id),
            ],
        )
        .await?;
    if let Some(attempt) = failure.attempt.as_ref().filter(|_| changed > 0) {
        let is_dead = failure.state == EventState::Dead;
        let ended = Ended {
            project: &failure.project,
            webhook_id: &failure.webhook_id,
            attempts: failure.attempts,
            outcome: if is_dead { AttemptOutcome::Dead } else { AttemptOutcome::Retry },
            reason: Some(failure.reason),
        };
        event_attempts::add_in(transaction, &ended, attempt).await?;
    }
    notifications::add_in(transaction, &failure.notifications).await
}
