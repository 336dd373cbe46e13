//! Group commit: many finished events with their responses and notifications, in one transaction.

use std::sync::LazyLock;

use webhook::EventState;

use super::events;
use super::notification_leases;
use super::notifications;
use super::upsert::{Existing, ManyRows, on_conflict};
use crate::columns::{Column, Kind, Record as _};
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::{FinishedEvent, NewEvent};
use crate::response::ResponseRecord;
use crate::schema::{EVENTS, RESPONSES};
use crate::store::Store;
use crate::value::Value;

static BEGUN: LazyLock<ManyRows> = LazyLock::new(|| {
    let columns = columns(&[("attempts", Kind::Integer), ("state", Kind::Text)]);
    ManyRows::new(&EVENTS, &columns, " ON CONFLICT (project, webhook_id) DO NOTHING")
});

static RESPONSE: LazyLock<ManyRows> = LazyLock::new(|| {
    let columns = ResponseRecord::COLUMNS;
    ManyRows::new(&RESPONSES, columns, &on_conflict(&RESPONSES, columns, Existing::Improve))
});

/// Inserts a row that is stored from the start, or changes an existing one as `events::complete_in` does.
static STORED: LazyLock<ManyRows> = LazyLock::new(|| {
    let more = [
        ("attempts", Kind::Integer),
        ("state", Kind::Text),
        ("processed_at", Kind::Time),
        ("reason", Kind::Text),
    ];
    let conflict = " ON CONFLICT (project, webhook_id) DO UPDATE SET state = 'stored', attempts = \
         CASE WHEN events.attempts < excluded.attempts THEN excluded.attempts ELSE events.attempts END, \
         processed_at = excluded.processed_at, reason = excluded.reason, last_error = NULL \
         WHERE events.state <> 'stored' OR (events.reason IS NOT NULL AND excluded.reason IS NULL)";
    ManyRows::new(&EVENTS, &columns(&more), conflict)
});

fn columns(more: &[Column]) -> Vec<Column> {
    [NewEvent::COLUMNS, more].concat()
}

impl Store {
    /// Stores finished events with their responses and notifications, which may have been sent already, and inserts the
    /// rows of events whose first attempt has `begun`, all in one transaction. Events that are already stored do not change.
    pub async fn save_finished(
        &self,
        begun: &[NewEvent],
        finished: &[FinishedEvent],
    ) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            add_begun(transaction, begun).await?;
            save_responses(transaction, finished).await?;
            complete(transaction, finished).await?;
            let sent_early = finished.iter().flat_map(|finished| &finished.completion.sent_early);
            notification_leases::settle_early(transaction, sent_early).await
        };
        self.database.write("store finished events", steps).await
    }
}

async fn add_begun(transaction: &mut WriteTransaction, begun: &[NewEvent]) -> sqlx::Result<()> {
    let values = |event| {
        let mut values = NewEvent::values(event);
        values.extend([1_u32.into(), Value::member(EventState::Received)]);
        values
    };
    let rows = begun.iter().map(|event| ((&event.project, &event.webhook_id), values(event)));
    write_sorted(transaction, &BEGUN, rows.collect()).await
}

async fn save_responses(transaction: &mut WriteTransaction, finished: &[FinishedEvent]) -> sqlx::Result<()> {
    let responses = finished.iter().filter_map(|finished| finished.response.as_deref());
    let rows = responses.map(|response| ((&response.project, &response.response_id), response.values()));
    write_sorted(transaction, &RESPONSE, rows.collect()).await
}

/// An earlier attempt has left a row in `event_attempts`, so that event is written by itself.
async fn complete(transaction: &mut WriteTransaction, finished: &[FinishedEvent]) -> sqlx::Result<()> {
    let (again, at_once): (Vec<_>, Vec<_>) =
        finished.iter().partition(|finished| finished.completion.attempts > 1);
    let rows = at_once.into_iter().map(|FinishedEvent { event, completion, .. }| {
        let mut values = event.values();
        values.extend([
            completion.attempts.into(),
            Value::member(EventState::Stored),
            Value::time(completion.processed_at),
            Value::opt_text(completion.reason.map(|reason| reason.as_str())),
        ]);
        ((&event.project, &event.webhook_id), values)
    });
    write_sorted(transaction, &STORED, rows.collect()).await?;
    let at_once = finished.iter().filter(|finished| finished.completion.attempts <= 1);
    let notifications = at_once.flat_map(|finished| &finished.completion.notifications);
    notifications::add_in(transaction, notifications).await?;
    for FinishedEvent { event, completion, .. } in again {
        events::record_in(transaction, event, completion.attempts).await?;
        events::complete_in(transaction, completion).await?;
    }
    Ok(())
}

/// A row's key, and its values.
type KeyedRow<'a> = ((&'a String, &'a String), Vec<Value<'a>>);

/// Writes the rows by key, so that two workers with the same rows wait for each other rather than deadlock.
async fn write_sorted(
    transaction: &mut WriteTransaction,
    statements: &'static ManyRows,
    mut rows: Vec<KeyedRow<'_>>,
) -> sqlx::Result<()> {
    rows.sort_by_key(|(key, _)| *key);
    let mut unwritten = Vec::with_capacity(rows.iter().map(|(_, values)| values.len()).sum());
    let mut previous = None;
    for (key, values) in rows {
        // The same object twice, for two webhooks of one event: the second row meets the first one.
        if previous.replace(key) == Some(key) {
            statements.write(transaction, &unwritten).await?;
            unwritten.clear();
        }
        unwritten.extend(values);
    }
    statements.write(transaction, &unwritten).await
}
