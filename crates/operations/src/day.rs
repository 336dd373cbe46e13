//! The last 24 hours: how many events were received and what became of them, and how late they were stored. Counts are
//! exact up to a limit; lags are those of a sample.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use store::{EVENTS_PER_SLOT_MAX, EventSpan, EventsInSlot, Store, StoreError, StoredLag};
use webhook::{EventState, Family, MaybeKnown};

const DAY: TimeDelta = TimeDelta::hours(24);
/// A bar of the chart of events.
const COUNTED: TimeDelta = TimeDelta::minutes(15);
/// A point of the chart of lags. Longer, because each costs as many reads as it has samples.
const SAMPLED: TimeDelta = TimeDelta::hours(1);
/// The newest stored events of a family and an hour. A percentile of all of them would read them all.
const SAMPLES: u32 = 50;

/// What happened within 24 hours.
#[derive(Debug, Clone, PartialEq)]
pub struct Day {
    /// Oldest first, without gaps.
    pub counts: Vec<Counts>,
    pub lags: Vec<Lags>,
}

/// The events received within a quarter of an hour, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub since: DateTime<Utc>,
    pub stored: u32,
    /// Received, or waiting for a retry.
    pub open: u32,
    pub dead: u32,
    /// Whether there were more than are counted.
    pub is_more: bool,
}

/// From the time at which OpenAI created an event until it was stored, for the events received within an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lags {
    pub since: DateTime<Utc>,
    /// `None` without events.
    pub percentiles: Option<Percentiles>,
}

/// Half of the events are faster than the median, and 99 of 100 are faster than `p99`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    pub median: TimeDelta,
    pub p99: TimeDelta,
}

impl Counts {
    pub fn total(&self) -> u32 {
        self.stored + self.open + self.dead
    }
}

impl Day {
    /// Reads the day that ends `now`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(store: &Store, now: DateTime<Utc>) -> Result<Self, StoreError> {
        let (quarters, hours) = (edges(now, COUNTED), edges(now, SAMPLED));
        let counted = store.count_events_in_slots(&quarters).await?;
        let families = stored_since(&store.event_spans().await?, now - DAY);
        let lags = store.stored_lags(&families, &hours, SAMPLES).await?;
        Ok(Self { counts: counts(&quarters, &counted), lags: percentiles(&hours, &lags) })
    }

    /// The events of the last hour, and whether there were more.
    pub fn last_hour(&self) -> (u32, bool) {
        let quarters = self.counts.iter().rev().take(4);
        quarters.fold((0, false), |(sum, is_more), counts| (sum + counts.total(), is_more || counts.is_more))
    }
}

/// The borders of the slots of the day that ends `now`, at round times. The last slot has not ended.
fn edges(now: DateTime<Utc>, length: TimeDelta) -> Vec<DateTime<Utc>> {
    let last = now.duration_trunc(length).unwrap_or(now) + length;
    let slots = i32::try_from(DAY.num_seconds() / length.num_seconds()).unwrap_or(0);
    (0..=slots).rev().map(|before| last - length * before).collect()
}

/// The families that have stored events of this time.
fn stored_since(spans: &[EventSpan], since: DateTime<Utc>) -> Vec<MaybeKnown<Family>> {
    let is_stored = |span: &&EventSpan| span.state == EventState::Stored && span.last_received_at >= since;
    spans.iter().filter(is_stored).map(|span| span.family.clone()).collect()
}

fn counts(edges: &[DateTime<Utc>], counted: &[EventsInSlot]) -> Vec<Counts> {
    let slots = edges.iter().take(edges.len().saturating_sub(1));
    let none = |since: &DateTime<Utc>| Counts { since: *since, stored: 0, open: 0, dead: 0, is_more: false };
    let mut counts: Vec<Counts> = slots.map(none).collect();
    for found in counted {
        let Some(slot) = counts.get_mut(found.slot) else { continue };
        match found.state.known() {
            Some(EventState::Stored) => slot.stored += found.count,
            Some(EventState::Dead) => slot.dead += found.count,
            Some(EventState::Received | EventState::Retrying) | None => slot.open += found.count,
        }
        slot.is_more |= found.count >= EVENTS_PER_SLOT_MAX;
    }
    counts
}

fn percentiles(edges: &[DateTime<Utc>], lags: &[StoredLag]) -> Vec<Lags> {
    let mut slots = vec![Vec::new(); edges.len().saturating_sub(1)];
    for StoredLag { slot, lag } in lags {
        if let Some(slot) = slots.get_mut(*slot) {
            // The clocks of OpenAI and of this machine differ a little.
            slot.push((*lag).max(TimeDelta::zero()));
        }
    }
    let lags = |(since, mut lags): (&DateTime<Utc>, Vec<TimeDelta>)| {
        lags.sort_unstable();
        let at =
            |share: usize| lags.get((lags.len() * share / 100).min(lags.len().saturating_sub(1))).copied();
        let percentiles = at(50).zip(at(99)).map(|(median, p99)| Percentiles { median, p99 });
        Lags { since: *since, percentiles }
    };
    edges.iter().zip(slots).map(lags).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-30T21:07:08Z".parse().unwrap()
    }

    #[test]
    fn slots_begin_at_round_times_and_the_last_one_contains_now() {
        let edges = edges(now(), COUNTED);
        let text = |at: &DateTime<Utc>| at.format("%d %H:%M").to_string();
        assert_eq!(edges.len(), 97);
        assert_eq!(
            (text(&edges[0]), text(&edges[95]), text(&edges[96])),
            ("29 21:15".to_owned(), "30 21:00".to_owned(), "30 21:15".to_owned())
        );
    }

    #[test]
    fn events_are_counted_by_what_became_of_them() {
        let found = |slot, state: EventState, count| EventsInSlot {
            slot,
            family: Family::Response.into(),
            state: state.into(),
            count,
        };
        let edges = edges(now(), COUNTED);
        let day = Day {
            counts: counts(
                &edges,
                &[
                    found(95, EventState::Stored, 7),
                    found(95, EventState::Retrying, 1),
                    found(95, EventState::Received, 2),
                    found(92, EventState::Dead, 1),
                    found(91, EventState::Stored, EVENTS_PER_SLOT_MAX),
                ],
            ),
            lags: Vec::new(),
        };
        let last = day.counts[95];
        assert_eq!((last.stored, last.open, last.dead, last.is_more), (7, 3, 0, false));
        assert!(day.counts[91].is_more);
        assert_eq!(day.last_hour(), (11, false));
    }

    #[test]
    fn percentiles_are_those_of_each_hour() {
        let lags: Vec<StoredLag> =
            (0..200).map(|secs| StoredLag { slot: 23, lag: TimeDelta::seconds(secs) }).collect();
        let hours = percentiles(&edges(now(), SAMPLED), &lags);
        assert_eq!((hours.len(), hours[22].percentiles), (24, None));
        let last = hours[23].percentiles.unwrap();
        assert_eq!((last.median, last.p99), (TimeDelta::seconds(100), TimeDelta::seconds(198)));
        let one = [StoredLag { slot: 0, lag: TimeDelta::seconds(-1) }];
        let first = percentiles(&edges(now(), SAMPLED), &one)[0].percentiles.unwrap();
        assert_eq!((first.median, first.p99), (TimeDelta::zero(), TimeDelta::zero()));
    }
}
