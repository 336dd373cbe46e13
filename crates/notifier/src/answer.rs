//! What a target answered, as far as it is kept: the status and the first bytes, without our credentials.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::redaction::Redaction;

/// So much of an answer is kept; it is for people, who look for an error message.
pub const ANSWER_BYTES_KEPT: usize = 512;
/// So much is read, so that the connection of a short answer can be used again.
const ANSWER_BYTES_READ_MAX: usize = 16 << 10;

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

/// What the answer's `Retry-After` asks for.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let header = |name| headers.get(name)?.to_str().ok();
    retry_after::parse(header(RETRY_AFTER)?, header(DATE), now)
}
