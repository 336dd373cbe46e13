//! What a target answered, as far as it is kept: the status and the first bytes, without our credentials.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::redaction::Redaction;

/// So much of an answer is kept; it is for people, who look for an error message.
pub const ANSWER_BYTES_KEPT: usize = 512;
/// So much is read, so that the connection of a short answer can be used again.
const ANSWER_BYTES_READ_MAX: usize = 16 << 10;
/// A target may ask for a long wait, not for eternity.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// A target's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The first bytes, as text without control characters.
    pub head: String,
}

/// Reads what is kept of an answer. A body that breaks off tells as much as came.
pub(crate) async fn read(mut response: reqwest::Response, redaction: &Redaction) -> Answer {
    let status = response.status().as_u16();
    let mut read = Vec::new();
    while read.len() < ANSWER_BYTES_READ_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let wanted = ANSWER_BYTES_READ_MAX - read.len();
        read.extend_from_slice(&chunk[..wanted.min(chunk.len())]);
    }
    // Before it is cut: half of a credential would be left at the end.
    let text = redaction.apply(&read);
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let text = text.trim();
    Answer { status, head: text[..text.floor_char_boundary(ANSWER_BYTES_KEPT)].trim_end().to_owned() }
}

/// `Retry-After` as seconds or as a date, compared with the sender's own clock where it is known.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let header = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text| DateTime::parse_from_rfc2822(text).ok().map(|date| date.to_utc());
    let text = header(RETRY_AFTER)?;
    let secs = text.parse::<f64>().ok().or_else(|| {
        let sent_at = header(DATE).and_then(date).unwrap_or(now);
        Some((date(text)? - sent_at).as_seconds_f64())
    })?;
    // Zero, the past and nonsense mean "by your own schedule".
    (secs > 0.0).then(|| Duration::from_secs_f64(secs.min(RETRY_AFTER_MAX.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_ends_after_a_day() {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|after| after.as_secs())
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after(" 120 "), Some(120));
        assert_eq!(after("Mon, 23 Nov 2026 12:01:00 GMT"), Some(60));
        assert_eq!(after("999999999999"), Some(86_400));
        for nothing in ["", "0", "-1", "NaN", "soon", "Mon, 23 Nov 2020 12:01:00 GMT"] {
            assert_eq!(after(nothing), None, "{nothing}");
        }
    }
}
