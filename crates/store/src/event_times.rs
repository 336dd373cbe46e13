//! When events were received: the first and the last ones, how many in each part of a time, and how late they were stored.

use chrono::{DateTime, TimeDelta, Utc};
use webhook::{EventState, Family, MaybeKnown};

/// Events of one family, state and slot that are counted; further ones are not.
pub const EVENTS_PER_SLOT_MAX: u32 = 10_000;

/// The first and the last event of one family and state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSpan {
    pub family: MaybeKnown<Family>,
    pub state: MaybeKnown<EventState>,
    pub first_received_at: DateTime<Utc>,
    pub last_received_at: DateTime<Utc>,
}

/// The events of one family and state that were received within a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsInSlot {
    /// The number of the slot, from 0.
    pub slot: usize,
    pub family: MaybeKnown<Family>,
    pub state: MaybeKnown<EventState>,
    /// At most [`EVENTS_PER_SLOT_MAX`].
    pub count: u32,
}

/// How long after OpenAI created it an event was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLag {
    /// The number of the slot, from 0.
    pub slot: usize,
    pub lag: TimeDelta,
}
