//! The charts of the overview, and the same numbers as tables.

use operations::day::{Counts, Day, Percentiles};

use super::chart::{BarChart, LineChart};
use super::quantity::{count, millis};

/// Both charts.
pub(super) struct Charts {
    pub(super) events: BarChart,
    pub(super) event_rows: Vec<EventsRow>,
    /// How many events there were.
    pub(super) total: String,
    pub(super) lags: LineChart,
    pub(super) lag_rows: Vec<LagRow>,
    /// Of the last hour that has any.
    pub(super) median: String,
    pub(super) p99: String,
}

/// A quarter of an hour.
pub(super) struct EventsRow {
    pub(super) since: String,
    pub(super) stored: String,
    pub(super) open: String,
    pub(super) dead: String,
}

/// An hour.
pub(super) struct LagRow {
    pub(super) since: String,
    pub(super) median: String,
    pub(super) p99: String,
}

impl Charts {
    pub(super) fn new(day: &Day) -> Self {
        let bar = |counts: &Counts| (counts.since, [counts.stored, counts.open, counts.dead]);
        let lags = |lags: &operations::day::Lags| {
            (lags.since, lags.percentiles.map(|found| [milliseconds(found.median), milliseconds(found.p99)]))
        };
        let newest = day.lags.iter().rev().find_map(|lags| lags.percentiles);
        let shown = |of: fn(&Percentiles) -> chrono::TimeDelta| {
            newest.as_ref().map_or_else(|| "–".to_owned(), |found| millis(milliseconds(of(found))))
        };
        let is_more = day.counts.iter().any(|counts| counts.is_more);
        let total: u64 = day.counts.iter().map(|counts| u64::from(counts.total())).sum();
        Self {
            events: BarChart::new(day.counts.iter().map(bar)),
            event_rows: day
                .counts
                .iter()
                .rev()
                .filter(|counts| counts.total() > 0)
                .map(EventsRow::of)
                .collect(),
            total: format!("{}{}", count(total), if is_more { "+" } else { "" }),
            lags: LineChart::new(day.lags.iter().map(lags)),
            lag_rows: day
                .lags
                .iter()
                .rev()
                .filter_map(|lags| {
                    let found = lags.percentiles?;
                    Some(LagRow {
                        since: lags.since.format("%H:%M").to_string(),
                        median: millis(milliseconds(found.median)),
                        p99: millis(milliseconds(found.p99)),
                    })
                })
                .collect(),
            median: shown(|found| found.median),
            p99: shown(|found| found.p99),
        }
    }
}

impl EventsRow {
    fn of(counts: &Counts) -> Self {
        let more = if counts.is_more { "+" } else { "" };
        Self {
            since: counts.since.format("%H:%M").to_string(),
            stored: format!("{}{more}", count(counts.stored)),
            open: count(counts.open),
            dead: count(counts.dead),
        }
    }
}

fn milliseconds(span: chrono::TimeDelta) -> f64 {
    span.num_milliseconds() as f64
}
