//! Verifies that a request is a genuine webhook. As strict as the strictest official verifier in each rule, see
//! `docs/verification.md`. This module neither logs nor responds.

use subtle::ConstantTimeEq as _;

use crate::secret::{SecretError, SigningSecret, split_secrets};

pub const HEADER_ID: &str = "webhook-id";
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// Maximum difference between the timestamp and our clock, in seconds, in both directions and inclusive (Standard
/// Webhooks; all nine verifiers we measured agree).
pub const TOLERANCE_SECS: i64 = 300;

const ID_BYTES_MAX: usize = 256;
const TIMESTAMP_DIGITS_MAX: usize = 15;
const SIGNATURE_TOKENS_MAX: usize = 64;
const SECRETS_MAX: usize = 16;

/// Verifies with any of several secrets, so that a secret can be rotated without losing deliveries.
#[derive(Debug, Clone)]
pub struct Verifier {
    secrets: Vec<SigningSecret>,
}

/// The values of a verified request's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'h> {
    /// The idempotency key: the same for all retries of a delivery.
    pub webhook_id: &'h str,
    /// Time of this attempt (not of the event), in Unix seconds.
    pub timestamp_secs: i64,
}

/// Why a request is not a genuine webhook. For logs and metrics only: clients always get "Invalid signature".
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
pub enum SignatureError {
    #[error("header {0} is missing or empty")]
    MissingHeader(&'static str),
    #[error("header {0} occurs more than once")]
    RepeatedHeader(&'static str),
    #[error("header webhook-id is longer than 256 bytes, or contains a dot or a control character")]
    MalformedId,
    #[error("header webhook-timestamp is not a Unix time in seconds with 1 to 15 digits")]
    MalformedTimestamp,
    /// `genuine`: the signature itself is valid, so the cause is the clock of this machine or a replay.
    #[error("webhook-timestamp differs from the clock of this machine by {skew_secs} s, more than {TOLERANCE_SECS} s{}",
        if *genuine { "; the signature is valid, so check the clock of this machine" } else { "" })]
    StaleTimestamp { skew_secs: i64, genuine: bool },
    #[error("no signature in webhook-signature matches any configured secret")]
    Mismatch,
}

impl SignatureError {
    /// A label from a closed set, for metrics and the log field `reason`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::MissingHeader(_) => "missing_header",
            Self::RepeatedHeader(_) => "repeated_header",
            Self::MalformedId => "malformed_id",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::StaleTimestamp { genuine: false, .. } => "stale_timestamp",
            Self::StaleTimestamp { genuine: true, .. } => "stale_timestamp_genuine",
            Self::Mismatch => "wrong_signature",
        }
    }
}

impl Verifier {
    /// # Errors
    /// [`SecretError`] for zero or more than 16 secrets.
    pub fn new(secrets: Vec<SigningSecret>) -> Result<Self, SecretError> {
        match secrets.len() {
            0 => Err(SecretError::Empty),
            count if count > SECRETS_MAX => Err(SecretError::TooMany { count, max: SECRETS_MAX }),
            _ => Ok(Self { secrets }),
        }
    }

    /// Parses the setting `OPENAI_WEBHOOK_SECRET`: one or more secrets, separated by spaces or commas.
    ///
    /// # Errors
    /// The first [`SecretError`]: one invalid secret invalidates the whole setting.
    pub fn from_setting(text: &str) -> Result<Self, SecretError> {
        Self::new(split_secrets(text).map(SigningSecret::parse).collect::<Result<_, _>>()?)
    }

    /// The first configured secret, which is used to sign.
    pub fn signing_secret(&self) -> &SigningSecret {
        &self.secrets[0]
    }

    /// Checks the headers, then the timestamp, then the HMAC over the raw body. `now_secs` is the receiver's clock in
    /// Unix seconds. Header names are case-insensitive.
    ///
    /// # Errors
    /// [`SignatureError`] for the first rule that is violated.
    pub fn verify<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
        now_secs: i64,
    ) -> Result<Verified<'h>, SignatureError> {
        let headers = Headers::collect(headers)?;
        let webhook_id = check_id(headers.id)?;
        let timestamp_secs = parse_timestamp(headers.timestamp)?;
        // At most 15 digits, so only an absurd `now` could overflow.
        let skew_secs = now_secs.saturating_sub(timestamp_secs);
        let matches = || self.matches(webhook_id, &headers, body);
        if skew_secs.unsigned_abs() > TOLERANCE_SECS.unsigned_abs() {
            return Err(SignatureError::StaleTimestamp { skew_secs, genuine: matches() });
        }
        if !matches() {
            return Err(SignatureError::Mismatch);
        }
        Ok(Verified { webhook_id, timestamp_secs })
    }

    fn matches(&self, webhook_id: &str, headers: &Headers<'_>, body: &[u8]) -> bool {
        // Compares text, not decoded bytes: only the canonical encoding is accepted.
        let tokens = || {
            let all = headers.signature.split(|byte| *byte == b' ').filter(|token| !token.is_empty());
            all.take(SIGNATURE_TOKENS_MAX).filter_map(|token| token.strip_prefix(b"v1,"))
        };
        self.secrets.iter().any(|secret| {
            let expected = secret.mac(webhook_id, headers.timestamp, body);
            tokens().any(|token| is_same(token, &expected))
        })
    }
}

/// Constant-time comparison, word by word, which is four times as fast as byte by byte.
fn is_same(token: &[u8], expected: &[u8; 44]) -> bool {
    let words = |text: &[u8; 44]| -> [u32; 11] {
        let (chunks, _none_left) = text.as_chunks::<4>();
        std::array::from_fn(|n| u32::from_ne_bytes(chunks[n]))
    };
    token.try_into().is_ok_and(|token| words(token).ct_eq(&words(expected)).into())
}

struct Headers<'h> {
    id: &'h [u8],
    timestamp: &'h [u8],
    signature: &'h [u8],
}

impl<'h> Headers<'h> {
    fn collect(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Result<Self, SignatureError> {
        const NAMES: [&str; 3] = [HEADER_ID, HEADER_TIMESTAMP, HEADER_SIGNATURE];
        let mut found: [Option<&'h [u8]>; 3] = [None; 3];
        for (name, value) in headers {
            let Some(index) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) else {
                continue;
            };
            if found[index].replace(value).is_some() {
                return Err(SignatureError::RepeatedHeader(NAMES[index]));
            }
        }
        let get = |index: usize| match found[index] {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(SignatureError::MissingHeader(NAMES[index])),
        };
        Ok(Self { id: get(0)?, timestamp: get(1)?, signature: get(2)? })
    }
}

/// A dot would allow bytes to move between the id and the timestamp under the same signature.
fn check_id(id: &[u8]) -> Result<&str, SignatureError> {
    let text = std::str::from_utf8(id).map_err(|_| SignatureError::MalformedId)?;
    if text.len() > ID_BYTES_MAX || text.chars().any(|c| c == '.' || c.is_control()) {
        return Err(SignatureError::MalformedId);
    }
    Ok(text)
}

fn parse_timestamp(text: &[u8]) -> Result<i64, SignatureError> {
    if text.len() > TIMESTAMP_DIGITS_MAX || !text.iter().all(u8::is_ascii_digit) {
        return Err(SignatureError::MalformedTimestamp);
    }
    Ok(text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
}
