//! Parses the response headers about retries: `x-should-retry`, `retry-after-ms`, `Retry-After`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RetryHint {
    /// `x-should-retry`, which takes precedence over the status.
    pub(crate) should_retry: Option<bool>,
    /// At least a millisecond, at most a day. The SDKs give up beyond 120 s; a queue can wait.
    pub(crate) after: Option<Duration>,
}

impl RetryHint {
    /// Parses the headers. `now` is used if there is no `Date` header.
    pub(crate) fn read(headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let should_retry = match header("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        };
        let millis = header("retry-after-ms").and_then(|text| text.parse::<f64>().ok());
        let after = millis
            .and_then(|millis| retry_after::seconds(millis / 1000.0))
            .or_else(|| retry_after::parse(header(RETRY_AFTER.as_str())?, header(DATE.as_str()), now));
        Self { should_retry, after }
    }
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
    fn milliseconds_take_precedence_over_seconds() {
        assert_eq!(after(&[("retry-after", "7")]), Some(7.0));
        assert_eq!(after(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(0.25));
        assert_eq!(after(&[("retry-after-ms", "soon"), ("retry-after", "2")]), Some(2.0));
    }

    #[test]
    fn a_date_is_relative_to_the_clock_of_the_sender() {
        let date = ("date", "Mon, 23 Nov 2026 11:50:00 GMT");
        assert_eq!(after(&[("retry-after", "Mon, 23 Nov 2026 11:50:30 GMT"), date]), Some(30.0));
    }

    #[test]
    fn x_should_retry_is_true_false_or_missing() {
        assert_eq!(read(&[("x-should-retry", "true")]).should_retry, Some(true));
        assert_eq!(read(&[("x-should-retry", "false")]).should_retry, Some(false));
        assert_eq!(read(&[("x-should-retry", "maybe")]).should_retry, None);
    }
}
