//! Parses the HTTP header `Retry-After`, which is a number of seconds or a date.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// Upper limit for the wait.
const MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses the header. A date is relative to the sender's clock (the header `Date`) if known, because ours may be off, and
/// otherwise to `now`. `None` means that the caller chooses the delay.
pub fn parse(retry_after: &str, date: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let secs = retry_after.trim().parse::<f64>().ok().or_else(|| {
        let sent_at = date.and_then(http_date).unwrap_or(now);
        Some((http_date(retry_after)? - sent_at).as_seconds_f64())
    });
    seconds(secs?)
}

/// A wait of `secs` seconds, at most a day. `None` for less than a millisecond, negative values and NaN.
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
    fn seconds_and_dates_are_parsed() {
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
    fn invalid_zero_and_past_values_mean_no_wait() {
        for text in ["", "soon", "0", "-3", "NaN", "Mon, 23 Nov 2020 12:01:00 GMT", "2026-11-23"] {
            assert_eq!(wait_secs(text, None), None, "{text}");
        }
    }
}
