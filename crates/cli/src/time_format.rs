//! Formats ages and UTC times, and parses `--since` and lengths of time.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
pub(crate) use operations::quantity::span;

/// `2026-11-23 20:31:07`, always UTC.
pub(crate) fn utc(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The age in one unit: `42s`, `17m`, `5h`, `12d`. A future time is `0s`.
pub(crate) fn age(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    span(now.signed_duration_since(time).num_seconds())
}

/// A time with its age: `2026-11-23 20:31:07 UTC (5h ago)`.
pub(crate) fn utc_and_age(time: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} UTC ({} ago)", utc(time), age(time, now))
}

/// Parses `--since`: an age (`90s`, `30m`, `1h`, `7d`), a date or a UTC time.
pub(crate) fn since(text: &str) -> Result<DateTime<Utc>, String> {
    parse_since(text.trim(), Utc::now()).ok_or_else(|| {
        "write an age such as 90s, 30m, 1h or 7d, a date such as 2026-11-01, or a UTC time such as \
         2026-11-01T09:30:00Z"
            .to_owned()
    })
}

fn parse_since(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Some(day.and_time(NaiveTime::MIN).and_utc());
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    now.checked_sub_signed(TimeDelta::try_seconds(secs(text)?)?)
}

/// Parses a length of time: `90s`, `30m`, `2h`, `1d`, `1w`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let secs = secs(text.trim()).and_then(|secs| u64::try_from(secs).ok()).filter(|secs| *secs > 0);
    secs.map(Duration::from_secs).ok_or_else(|| "write a time such as 90s, 30m, 2h or 1d".to_owned())
}

fn secs(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    number.checked_mul(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(duration(" 90s "), Ok(Duration::from_secs(90)));
        for text in ["", "0s", "-1h", "2", "h", "1.5h", "2026-11-01"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn since_is_an_age_a_date_or_a_time() {
        let now = DateTime::from_timestamp(1_795_465_867, 0).unwrap();
        let secs_ago = |text| Some((now - parse_since(text, now)?).num_seconds());
        assert_eq!(secs_ago("90s"), Some(90));
        assert_eq!(secs_ago("1h"), Some(3_600));
        assert_eq!(secs_ago("7d"), Some(604_800));
        assert_eq!(utc(parse_since("2026-11-01", now).unwrap()), "2026-11-01 00:00:00");
        assert_eq!(utc(parse_since("2026-11-01T09:30:00+01:00", now).unwrap()), "2026-11-01 08:30:00");
        for text in ["", "h", "1", "-1h", "1y", "yesterday", "9223372036854775807w", "é"] {
            assert_eq!(parse_since(text, now), None, "{text}");
        }
    }
}
