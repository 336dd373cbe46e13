//! Replays stored events: which ones, in the order in which workers first saw them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::{EventFilter, EventRecord, EventSeq, Found, Store, StoreError};
use webhook::{EventState, Family};

use crate::requeue::random_id;

/// Events read at a time.
const PAGE: u32 = 500;

/// Selects events. Without any condition, all of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReplayFilter {
    pub project: Option<String>,
    pub family: Option<Family>,
    pub state: Option<EventState>,
    /// Received at this time or later.
    pub since: Option<DateTime<Utc>>,
}

/// The events that matched a filter at one moment. Those that arrive later are left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventSelection {
    filter: ReplayFilter,
    after: EventSeq,
    up_to: EventSeq,
    /// So that a call that is repeated, because its answer was lost, enqueues nothing twice.
    run: String,
}

impl EventSelection {
    /// Those that match now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn now(store: &Store, filter: ReplayFilter) -> Result<Self, StoreError> {
        Ok(Self {
            filter,
            after: EventSeq::default(),
            up_to: store.event_watermark().await?,
            run: random_id(),
        })
    }

    /// For [`Requeuer::new`](crate::requeue::Requeuer::new).
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How many match.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count(&self, store: &Store) -> Result<u64, StoreError> {
        store.count_chosen(&self.event_filter(), self.up_to).await
    }

    /// The next events; none after the last. The selection then begins after them, so that what is left can be stored.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_page(&mut self, store: &Store) -> Result<Vec<EventRecord>, StoreError> {
        let page = store.events_between(&self.event_filter(), self.after, self.up_to).await?;
        if let Some((last, _)) = page.last() {
            self.after = *last;
        }
        Ok(page.into_iter().map(|(_, event)| event).collect())
    }

    fn event_filter(&self) -> EventFilter {
        let ReplayFilter { project, family, state, since } = self.filter.clone();
        EventFilter { project, family, state, since, after: None, limit: PAGE }
    }
}

/// What is stored under an id that should be an event's.
#[derive(Debug)]
pub enum NamedEvent {
    Event(Box<EventRecord>),
    /// Something else has this id.
    NotAnEvent,
    Unknown,
}

/// The event with this `webhook-id` or event id.
///
/// # Errors
/// When the database cannot be read.
pub async fn named(store: &Store, id: &str) -> Result<NamedEvent, StoreError> {
    let found = store.find(id).await?;
    let is_known = !found.is_empty();
    let event = found.into_iter().find_map(|found| match found {
        Found::Event(event) if event.webhook_id == id || event.event_id.as_deref() == Some(id) => {
            Some(NamedEvent::Event(Box::new(event)))
        }
        _ => None,
    });
    Ok(event.unwrap_or(if is_known { NamedEvent::NotAnEvent } else { NamedEvent::Unknown }))
}
