//! The stored part of a target's response: the status and the first bytes of the body, without credentials.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::redaction::Redaction;

/// Bytes of a response body that are stored; enough for an error message.
pub const RESPONSE_BYTES_KEPT: usize = 512;
/// Bytes that are read, so that the connection of a short response can be reused.
const RESPONSE_BYTES_READ_MAX: usize = 16 << 10;

/// A target's response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetResponse {
    pub status: u16,
    /// The first bytes, as text without control characters.
    pub head: String,
}

/// Reads the stored part of a response. If the body ends early, the bytes received so far are used.
pub(crate) async fn read(mut response: reqwest::Response, redaction: &Redaction) -> TargetResponse {
    let status = response.status().as_u16();
    let mut read = Vec::new();
    while read.len() < RESPONSE_BYTES_READ_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let wanted = RESPONSE_BYTES_READ_MAX - read.len();
        read.extend_from_slice(&chunk[..wanted.min(chunk.len())]);
    }
    // Redact before truncating: otherwise half of a credential could remain at the end.
    let text = redaction.apply(&read);
    let text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let text = text.trim();
    TargetResponse {
        status,
        head: text[..text.floor_char_boundary(RESPONSE_BYTES_KEPT)].trim_end().to_owned(),
    }
}

/// The delay that the `Retry-After` header asks for.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let header = |name| headers.get(name)?.to_str().ok();
    retry_after::parse(header(RETRY_AFTER)?, header(DATE), now)
}
