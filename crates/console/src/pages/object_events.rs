//! The events about an object, each with a link to its timeline.

use chrono::{DateTime, Utc};
use store::{EventRecord, Store, StoreError};
use webhook::MaybeKnown;

use super::address;
use super::moment::Moment;
use super::state_word::StateWord;

/// The newest ones; an object rarely has more than a few.
const SHOWN_MAX: usize = 20;

/// One event about an object.
pub(super) struct ObjectEvent {
    pub(super) received: Moment,
    pub(super) state: StateWord,
    pub(super) event_type: String,
    pub(super) href: String,
    pub(super) reason: String,
}

/// The newest events about this id.
pub(super) async fn object_events(
    store: &Store,
    id: &str,
    now: DateTime<Utc>,
) -> Result<Vec<ObjectEvent>, StoreError> {
    let events = store.events_about(id).await?;
    Ok(events.into_iter().take(SHOWN_MAX).map(|event| ObjectEvent::of(event, now)).collect())
}

impl ObjectEvent {
    fn of(event: EventRecord, now: DateTime<Utc>) -> Self {
        Self {
            received: Moment::ago(event.received_at, now),
            state: StateWord::from(&event.state),
            href: address::of("/events", &event.webhook_id),
            reason: event.reason.as_ref().map(MaybeKnown::as_str).unwrap_or_default().replace('_', " "),
            event_type: event.event_type,
        }
    }
}
