//! Times on pages: how long ago, with the exact time on hover.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use super::quantity;

/// `12 s ago`, `12 s`, or the time of day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    at: DateTime<Utc>,
    shown: Shown,
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    /// How long before (or after) this time.
    Since(DateTime<Utc>),
    /// How long it lasts until this time.
    LengthUntil(DateTime<Utc>),
    /// With milliseconds.
    TimeOfDay,
}

impl Moment {
    pub(super) fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self { at, shown: Shown::Since(now) }
    }

    /// For what began then and still goes on.
    pub(super) fn length(since: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self { at: since, shown: Shown::LengthUntil(now) }
    }

    pub(super) fn time_of_day(at: DateTime<Utc>) -> Self {
        Self { at, shown: Shown::TimeOfDay }
    }
}

/// An element of HTML, made only of numbers.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = self.at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let exact = self.at.format("%Y-%m-%d %H:%M:%S%.3f UTC");
        write!(f, "<time datetime=\"{iso}\" title=\"{exact}\">")?;
        match self.shown {
            Shown::Since(now) if self.at > now => write!(f, "in {}", quantity::span(self.at - now))?,
            Shown::Since(now) => write!(f, "{} ago", quantity::span(now - self.at))?,
            Shown::LengthUntil(now) => f.write_str(&quantity::span(now - self.at))?,
            Shown::TimeOfDay => write!(f, "{}", self.at.format("%H:%M:%S%.3f"))?,
        }
        f.write_str("</time>")
    }
}

impl HtmlSafe for Moment {}

/// To the second, for lists of facts.
pub(super) fn exact(at: DateTime<Utc>) -> String {
    format!("{} UTC", at.format("%Y-%m-%d %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_exact_value_on_hover() {
        let at: DateTime<Utc> = "2026-11-30T20:15:00.5Z".parse().unwrap();
        let now = at + chrono::TimeDelta::seconds(75);
        assert_eq!(
            Moment::ago(at, now).to_string(),
            "<time datetime=\"2026-11-30T20:15:00.500Z\" title=\"2026-11-30 20:15:00.500 UTC\">75 s ago</time>"
        );
        assert!(Moment::ago(now, at).to_string().contains(">in 75 s<"));
        assert!(Moment::length(at, now).to_string().contains(">75 s<"));
        assert!(Moment::time_of_day(at).to_string().contains(">20:15:00.500<"));
    }
}
