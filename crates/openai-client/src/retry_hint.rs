//! What an answer's headers say about asking again: `x-should-retry`, `retry-after-ms`, `Retry-After`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The SDKs give up beyond 120 s; a queue can wait, but not for ever.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RetryHint {
    /// `x-should-retry`, which goes before the status.
    pub(crate) should_retry: Option<bool>,
    /// At least a millisecond, at most [`RETRY_AFTER_MAX`].
    pub(crate) after: Option<Duration>,
}

impl RetryHint {
    /// Reads the headers. `now` stands in for a missing `Date` header.
    pub(crate) fn read(headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let should_retry = match header("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let millis = header("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
        let after = millis.and_then(|millis| wait(millis / 1000.0)).or_else(|| {
            let text = header(RETRY_AFTER.as_str())?;
            let secs = text.parse::<f64>().ok().or_else(|| {
                // Compared with the sender's own clock where it is known: ours may be off.
                let sent_at = header(DATE.as_str()).and_then(http_date).unwrap_or(now);
                Some((http_date(text)? - sent_at).num_milliseconds() as f64 / 1000.0)
            });
            wait(secs?)
        });
        Self { should_retry, after }
    }
}

/// Nothing, zero and the past mean "by your own back-off".
fn wait(secs: f64) -> Option<Duration> {
    (secs >= 0.001).then(|| Duration::from_secs_f64(secs.min(RETRY_AFTER_MAX.as_secs_f64())))
}

pub(crate) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> RetryHint {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        RetryHint::read(&map, "2026-11-23T12:00:00Z".parse().unwrap())
    }

    fn after(headers: &[(&'static str, &str)]) -> Option<f64> {
        read(headers).after.map(|after| after.as_secs_f64())
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        assert_eq!(after(&[("retry-after", "7")]), Some(7.0));
        assert_eq!(after(&[("retry-after", " 1.5 ")]), Some(1.5));
        assert_eq!(after(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(0.25));
        assert_eq!(after(&[("retry-after", "Mon, 23 Nov 2026 12:01:00 GMT")]), Some(60.0));
    }

    #[test]
    fn a_date_is_compared_with_the_senders_clock() {
        let date = ("date", "Mon, 23 Nov 2026 11:50:00 GMT");
        assert_eq!(after(&[("retry-after", "Mon, 23 Nov 2026 11:50:30 GMT"), date]), Some(30.0));
    }

    #[test]
    fn an_absurd_wait_ends_after_a_day() {
        let day = Some(86_400.0);
        assert_eq!(after(&[("retry-after", "99999999999999999999")]), day);
        assert_eq!(after(&[("retry-after", "inf")]), day);
        assert_eq!(after(&[("retry-after", "Mon, 23 Nov 2099 12:01:00 GMT")]), day);
    }

    #[test]
    fn nonsense_zero_and_the_past_are_no_wait() {
        for value in ["", "soon", "0", "-3", "NaN", "Mon, 23 Nov 2020 12:01:00 GMT", "2026-11-23"] {
            assert_eq!(after(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(after(&[("retry-after-ms", "soon"), ("retry-after", "2")]), Some(2.0));
    }

    #[test]
    fn x_should_retry_is_true_false_or_not_there() {
        assert_eq!(read(&[("x-should-retry", "true")]).should_retry, Some(true));
        assert_eq!(read(&[("x-should-retry", "false")]).should_retry, Some(false));
        assert_eq!(read(&[("x-should-retry", "maybe")]).should_retry, None);
    }
}
