//! The HTTP header `Retry-After`: how long to wait, as seconds or as a date.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// A server may ask for a long wait, but not for ever.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the header. A date is compared with the sender's own clock (the header `Date`) where it is known, because ours
/// may be off; else with `now`. `None` means "by your own back-off".
pub fn parse(retry_after: &str, date: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let secs = retry_after.trim().parse::<f64>().ok().or_else(|| {
        let sent_at = date.and_then(http_date).unwrap_or(now);
        Some((http_date(retry_after)? - sent_at).as_seconds_f64())
    });
    seconds(secs?)
}

/// A wait of so many seconds, at least a millisecond and at most a day. `None` for zero, the past and nonsense.
pub fn seconds(secs: f64) -> Option<Duration> {
    (secs >= 0.001).then(|| Duration::from_secs_f64(secs.min(MAX.as_secs_f64())))
}

/// `Mon, 23 Nov 2026 12:01:00 GMT`
pub fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_secs(retry_after: &str, date: Option<&str>) -> Option<f64> {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        parse(retry_after, date, now).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(wait_secs("7", None), Some(7.0));
        assert_eq!(wait_secs(" 1.5 ", None), Some(1.5));
        assert_eq!(wait_secs("Mon, 23 Nov 2026 12:01:00 GMT", None), Some(60.0));
    }

    #[test]
    fn a_date_is_compared_with_the_senders_clock() {
        let date = Some("Mon, 23 Nov 2026 11:50:00 GMT");
        assert_eq!(wait_secs("Mon, 23 Nov 2026 11:50:30 GMT", date), Some(30.0));
    }

    #[test]
    fn an_absurd_wait_ends_after_a_day() {
        for text in ["99999999999999999999", "inf", "Mon, 23 Nov 2099 12:01:00 GMT"] {
            assert_eq!(wait_secs(text, None), Some(86_400.0), "{text}");
        }
    }

    #[test]
    fn nonsense_zero_and_the_past_are_no_wait() {
        for text in ["", "soon", "0", "-3", "NaN", "Mon, 23 Nov 2020 12:01:00 GMT", "2026-11-23"] {
            assert_eq!(wait_secs(text, None), None, "{text}");
        }
    }
}
