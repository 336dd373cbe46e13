//! Follows the events in the database: new events and changes of state.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use store::{EventFilter, EventRecord, EventSeq, Store};
use webhook::{EventState, Family, MaybeKnown, Reason};

use crate::exit::CliError;

/// Each poll makes two short indexed queries, whatever the size of the database.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum number of unfinished events watched for changes of state; beyond it, the oldest are dropped.
const WATCHED_MAX: usize = 2_000;
const WATCHED_AT_START_PER_FAMILY: u32 = 200;
/// Events read at a time.
const PAGE: u32 = 500;

/// Project and webhook-id.
pub(crate) type Name = (String, String);

/// The part of an event whose changes are reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    state: MaybeKnown<EventState>,
    attempts: u32,
    reason: Option<MaybeKnown<Reason>>,
}

/// What changed since the last poll.
pub(crate) struct Changes {
    pub(crate) events: Vec<EventRecord>,
    /// Whether there are more changes already.
    pub(crate) has_more: bool,
}

pub(crate) struct Follower {
    store: Store,
    family: Option<Family>,
    /// Position up to which new events have been reported.
    after: EventSeq,
    /// Events that can still change, oldest first.
    watched: VecDeque<(Name, Seen)>,
}

impl Follower {
    /// Follows from now on. Includes existing events that are not finished.
    pub(crate) async fn start(store: Store, family: Option<Family>) -> Result<Self, CliError> {
        let after = store.event_watermark().await?;
        let mut follower = Self { store, family, after, watched: VecDeque::new() };
        let families = match &family {
            Some(family) => std::slice::from_ref(family),
            None => Family::ALL,
        };
        for family in families {
            let unsettled = follower.store.unsettled_events(*family, WATCHED_AT_START_PER_FAMILY).await;
            for event in unsettled?.iter().rev() {
                follower.watch(event);
            }
        }
        Ok(follower)
    }

    /// Events whose state changed, then new events in the order of arrival.
    pub(crate) async fn poll(&mut self) -> Result<Changes, CliError> {
        let mut events = self.poll_watched().await?;
        let newest = self.store.event_watermark().await?;
        let filter = EventFilter { family: self.family, limit: PAGE, ..EventFilter::default() };
        if self.after < newest {
            let page = self.store.events_between(&filter, self.after, newest).await?;
            self.after = page.last().map_or(newest, |(place, _)| *place);
            for (_, event) in page {
                self.watch(&event);
                events.push(event);
            }
        }
        Ok(Changes { events, has_more: self.after < newest })
    }

    async fn poll_watched(&mut self) -> Result<Vec<EventRecord>, CliError> {
        let names: Vec<Name> = self.watched.iter().map(|(name, _)| name.clone()).collect();
        let found = self.store.events_named(&names).await?;
        let mut found: HashMap<Name, EventRecord> =
            found.into_iter().map(|event| (name(&event), event)).collect();
        let mut changed = Vec::new();
        for (name, seen) in &mut self.watched {
            if let Some(event) = found.remove(name)
                && seen_of(&event) != *seen
            {
                *seen = seen_of(&event);
                changed.push(event);
            }
        }
        self.watched.retain(|(_, seen)| seen.state != EventState::Stored);
        Ok(changed)
    }

    fn watch(&mut self, event: &EventRecord) {
        let name = name(event);
        if event.state == EventState::Stored || self.watched.iter().any(|(watched, _)| *watched == name) {
            return;
        }
        if self.watched.len() == WATCHED_MAX {
            self.watched.pop_front();
        }
        self.watched.push_back((name, seen_of(event)));
    }
}

pub(crate) fn name(event: &EventRecord) -> Name {
    (event.project.clone(), event.webhook_id.clone())
}

pub(crate) fn seen_of(event: &EventRecord) -> Seen {
    Seen { state: event.state.clone(), attempts: event.attempts, reason: event.reason.clone() }
}
