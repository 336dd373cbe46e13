//! [`Store`]: events.

use chrono::{DateTime, Utc};
use webhook::{EventState, Family, MaybeKnown};

use super::Store;
use crate::error::StoreError;
use crate::event::{Completion, EventFilter, EventPlace, EventRecord, Failure, NewEvent};
use crate::event_attempt::AttemptRecord;
use crate::found::Found;
use crate::tables;

/// Events.
impl Store {
    /// Writes the event at its first delivery, and counts attempts unless it is settled. The state found before.
    ///
    /// # Errors
    /// When the database cannot be written; so with all calls below that write.
    pub async fn record_delivery(
        &self,
        event: &NewEvent,
        attempt: u32,
    ) -> Result<MaybeKnown<EventState>, StoreError> {
        let done = tables::events::record_delivery(&self.database, event, attempt).await;
        done.map_err(StoreError::database("record a delivery"))
    }

    /// Stores an event that has nothing to fetch, in one transaction; one that is stored stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_event(&self, event: &NewEvent, completion: &Completion) -> Result<(), StoreError> {
        let done = tables::events::keep(&self.database, event, completion).await;
        done.map_err(StoreError::database("keep an event"))
    }

    /// Turns the event to `stored`; one that is stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn complete_event(&self, completion: &Completion) -> Result<(), StoreError> {
        let done = tables::events::complete(&self.database, completion).await;
        done.map_err(StoreError::database("complete an event"))
    }

    /// Notes a failed attempt; never turns `stored` back.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn fail_event(&self, failure: &Failure) -> Result<(), StoreError> {
        let done = tables::events::fail(&self.database, failure).await;
        done.map_err(StoreError::database("note a failed attempt"))
    }

    /// When the first known attempt at an event began since then, `None` when there was none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn first_attempt_at(
        &self,
        project: &str,
        webhook_id: &str,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let first = tables::event_attempts::first_at(&self.database, project, webhook_id, since).await;
        first.map_err(StoreError::database("read an event's attempts"))
    }

    /// The attempts at an event: the first 10 and the last 50. None of an event that was stored by its first attempt.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn event_attempts(
        &self,
        project: &str,
        webhook_id: &str,
    ) -> Result<Vec<AttemptRecord>, StoreError> {
        let attempts = tables::event_attempts::list(&self.database, project, webhook_id).await;
        attempts.map_err(StoreError::database("read an event's attempts"))
    }

    /// Events, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read; so with all calls below that read.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<Vec<EventRecord>, StoreError> {
        tables::events::list(&self.database, filter).await.map_err(StoreError::database("list events"))
    }

    /// How many events there are of each family and state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_events(
        &self,
    ) -> Result<Vec<(MaybeKnown<Family>, MaybeKnown<EventState>, i64)>, StoreError> {
        tables::events::count(&self.database).await.map_err(StoreError::database("count events"))
    }

    /// Rows of any table by webhook id, event id or the object's own id; for an id that only events name, those events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find(&self, id: &str) -> Result<Vec<Found>, StoreError> {
        tables::find::find(&self.database, id).await.map_err(StoreError::database("look up an id"))
    }
}

/// Events in the order in which workers first saw them: to go through all, and to follow what comes.
impl Store {
    /// The place up to which all events are there: none will appear below it later, however late a worker commits.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn newest_event(&self) -> Result<EventPlace, StoreError> {
        tables::event_order::newest(&self.database).await.map_err(StoreError::database("read events"))
    }

    /// The next events after a place, up to and including another, with their places.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_between(
        &self,
        filter: &EventFilter,
        after: EventPlace,
        up_to: EventPlace,
    ) -> Result<Vec<(EventPlace, EventRecord)>, StoreError> {
        let events = tables::event_order::between(&self.database, filter, after, up_to).await;
        events.map_err(StoreError::database("read events"))
    }

    /// How many events the filter chooses up to a place, its limit aside.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_chosen(&self, filter: &EventFilter, up_to: EventPlace) -> Result<u64, StoreError> {
        let count = tables::event_order::count(&self.database, filter, up_to).await;
        count.map_err(StoreError::database("count events"))
    }

    /// Events that may still change, the newest of each family, at most so many of it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn unsettled_events(&self, family: Family, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let events = tables::event_order::unsettled(&self.database, family, limit).await;
        events.map_err(StoreError::database("read events"))
    }

    /// Events by project and `webhook-id`, in any order; those that are not there are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_named(&self, names: &[(String, String)]) -> Result<Vec<EventRecord>, StoreError> {
        let events = tables::event_order::named(&self.database, names).await;
        events.map_err(StoreError::database("read events"))
    }
}
