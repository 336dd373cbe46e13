//! Numbers, sizes and lengths of time as people read them.

use chrono::TimeDelta;
pub(super) use operations::quantity::{count, counted};

/// A length of time in one unit: `42 s`, `17 min`, `5 h`, `12 days`. A negative one is `0 s`.
pub(super) fn span(length: TimeDelta) -> String {
    let secs = length.num_seconds().max(0);
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => format!("{} h", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

/// `1.9 ms`, `210 ms`, `1.2 s`.
pub(super) fn millis(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        let spans = [-1, 119, 120, 7_200, 172_800].map(|secs| span(TimeDelta::seconds(secs)));
        assert_eq!(spans, ["0 s", "119 s", "2 min", "2 h", "2 days"]);
        assert_eq!([millis(1.94), millis(210.4), millis(1_240.0)], ["1.9 ms", "210 ms", "1.2 s"]);
    }
}
