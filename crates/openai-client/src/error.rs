//! The errors of a request, and how to handle them. The policy is that of the official SDKs, extended from seconds to
//! days: a queue can wait longer than a caller. No error contains the API key, or more of a body than the error message
//! of OpenAI.

use std::error::Error;
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::lenient;
use crate::retry_hint::RetryHint;

/// Error messages of OpenAI are truncated to this many characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// Why a client cannot be created from its settings.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("base URL {0}")]
    BaseUrl(&'static str),
    #[error("API key is empty or contains characters that are invalid in a header")]
    ApiKey,
    #[error("{0} contains characters that are invalid in a header")]
    Header(&'static str),
    #[error("cannot initialize HTTPS: check that CA certificates (ca-certificates) are installed")]
    Tls(#[source] reqwest::Error),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No connection, no response in time, or a response (not a download) that ended early.
    #[error("no complete response to the request for {endpoint}")]
    Unavailable { endpoint: Endpoint, request_id: Option<String>, source: Box<dyn Error + Send + Sync> },
    /// A response with a status other than 200.
    #[error(transparent)]
    Refused(Box<Refusal>),
    #[error("the response for {endpoint} is not the expected JSON")]
    NotJson { endpoint: Endpoint, request_id: Option<String>, source: serde_json::Error },
    #[error("the response for {endpoint} is larger than {bytes_max} bytes")]
    TooLarge { endpoint: Endpoint, request_id: Option<String>, bytes_max: usize },
    /// Neither gzip nor deflate. We request `identity`.
    #[error("the response for {endpoint} is encoded as {coding}, which was not requested")]
    Compressed { endpoint: Endpoint, request_id: Option<String>, coding: String },
    /// A cache or proxy returned the object of another client.
    #[error("the response for {endpoint} is a different object, {found:?}")]
    OtherObject {
        endpoint: Endpoint,
        request_id: Option<String>,
        /// The id of that object, truncated.
        found: String,
    },
    #[error("download ended after {received_bytes} bytes{}", expected(*content_length))]
    IncompleteDownload {
        received_bytes: u64,
        content_length: Option<u64>,
        request_id: Option<String>,
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// The id is empty, a dot or two, or too long for a URL.
    #[error("id cannot be part of a URL")]
    UnusableId,
}

/// The content of a response with a status other than 200.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request for {endpoint} failed with status {status}{}", self.details())]
pub struct Refusal {
    pub endpoint: Endpoint,
    pub status: u16,
    /// `error.code`, or else `error.type`.
    pub code: Option<String>,
    /// `error.message`, truncated; never for a 401, whose message repeats parts of the key.
    pub message: Option<String>,
    pub request_id: Option<String>,
    /// The host and port of a redirect that was not followed.
    pub redirect_host: Option<String>,
    pub(crate) hint: RetryHint,
}

/// Whether and when to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// After this time at the earliest, if OpenAI specified one; at most a day.
    Retry { after: Option<Duration> },
    /// Needs an operator: a wrong key, missing permissions, an exhausted quota, a wrong base URL.
    RetryAtMax,
    /// The object does not exist, possibly not yet.
    NotFound,
    /// A retry cannot help.
    Final,
}

/// The categories of errors: a closed set, for metrics and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    RateLimited,
    Unavailable,
    Unauthorized,
    Forbidden,
    PolicyViolation,
    NotFound,
    Rejected,
    BadAnswer,
    IncompleteDownload,
}

impl ApiError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Refused(refusal) => refusal.kind(),
            Self::NotJson { .. }
            | Self::TooLarge { .. }
            | Self::Compressed { .. }
            | Self::OtherObject { .. } => ErrorKind::BadAnswer,
            Self::IncompleteDownload { .. } => ErrorKind::IncompleteDownload,
            Self::UnusableId => ErrorKind::NotFound,
        }
    }

    pub fn advice(&self) -> Advice {
        match self {
            Self::Refused(refusal) => refusal.advice(),
            Self::Unavailable { .. }
            | Self::NotJson { .. }
            | Self::Compressed { .. }
            | Self::OtherObject { .. }
            | Self::IncompleteDownload { .. } => Advice::Retry { after: None },
            Self::TooLarge { .. } => Advice::Final,
            Self::UnusableId => Advice::NotFound,
        }
    }

    /// The host of a redirect that was not followed.
    pub fn redirect_host(&self) -> Option<&str> {
        self.refusal()?.redirect_host.as_deref()
    }

    /// The status of the response, if it was not 200.
    pub fn status(&self) -> Option<u16> {
        Some(self.refusal()?.status)
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The `x-request-id`, which OpenAI support asks for.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.request_id.as_deref(),
            Self::Unavailable { request_id, .. }
            | Self::NotJson { request_id, .. }
            | Self::TooLarge { request_id, .. }
            | Self::Compressed { request_id, .. }
            | Self::OtherObject { request_id, .. }
            | Self::IncompleteDownload { request_id, .. } => request_id.as_deref(),
            Self::UnusableId => None,
        }
    }
}

impl Refusal {
    /// Adds the error in the body. `api_key` is redacted in case the message contains it.
    pub(crate) fn with_body(mut self, body: &[u8], api_key: &str) -> Self {
        let text = lenient::text_of(body);
        let [error] = lenient::fields(&text, ["error"]).unwrap_or_default();
        let [code, kind, message] = lenient::inner(error, ["code", "type", "message"]);
        // A code is a word, and would only be secret if it were the key.
        let clean = |text: String| shown(&text, api_key, MESSAGE_CHARS_MAX);
        self.code = lenient::text(code).or_else(|| lenient::text(kind)).map(clean);
        self.message = lenient::text(message).filter(|_| self.status != 401).map(clean);
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.status {
            // For a GET without conditions and ranges, any success other than 200 is an error.
            200..=299 => ErrorKind::BadAnswer,
            401 => ErrorKind::Unauthorized,
            403 if self.is_code("misalignment_policy_violation") => ErrorKind::PolicyViolation,
            403 => ErrorKind::Forbidden,
            404 | 410 => ErrorKind::NotFound,
            429 => ErrorKind::RateLimited,
            408 | 409 | 500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Rejected,
        }
    }

    /// `x-should-retry` takes precedence over the status. But a "no", which refers to the seconds that an SDK would
    /// wait, is not final for problems that time or an operator can fix: a key, a quota, a new object.
    fn advice(&self) -> Advice {
        let RetryHint { should_retry, after } = self.hint;
        if should_retry == Some(true) {
            return Advice::Retry { after };
        }
        let refused = should_retry == Some(false);
        match self.kind() {
            ErrorKind::Unauthorized | ErrorKind::Forbidden => Advice::RetryAtMax,
            ErrorKind::PolicyViolation => Advice::Final,
            ErrorKind::NotFound => Advice::NotFound,
            ErrorKind::RateLimited if after.is_none() && (refused || self.is_quota()) => Advice::RetryAtMax,
            ErrorKind::RateLimited => Advice::Retry { after },
            // A redirect that was not followed: the base URL is wrong.
            ErrorKind::Rejected if self.status < 400 => Advice::RetryAtMax,
            ErrorKind::Unavailable | ErrorKind::BadAnswer | ErrorKind::IncompleteDownload if !refused => {
                Advice::Retry { after }
            }
            ErrorKind::Unavailable
            | ErrorKind::BadAnswer
            | ErrorKind::IncompleteDownload
            | ErrorKind::Rejected => Advice::Final,
        }
    }

    fn is_quota(&self) -> bool {
        self.is_code("insufficient_quota") || self.is_code("billing_hard_limit_reached")
    }

    fn is_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    fn details(&self) -> String {
        let code = self.code.iter().map(|code| format!(" ({code})"));
        let message = self.message.iter().map(|message| format!(": {message}"));
        let redirect = self.redirect_host.iter().map(|host| {
            format!(": redirects to {host} are not followed: the API key is only sent to the host of OPENAI_BASE_URL")
        });
        code.chain(message).chain(redirect).collect()
    }
}

/// Returns at most `chars_max` characters of a text, on one line and with the key redacted.
pub(crate) fn shown(text: &str, api_key: &str, chars_max: usize) -> String {
    let text = without_keys(&text.replace(api_key, "[API key]"));
    text.chars().filter(|c| !c.is_control()).take(chars_max).collect()
}

/// Redacts every word that starts like a key: messages contain truncated or masked keys (`sk-proj-ab***yz`), even if a
/// proxy changed the status.
fn without_keys(text: &str) -> String {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*' | '.' | '\u{2026}');
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(|c| !is_of_key(c)) {
        match word.strip_prefix("sk-") {
            Some(rest) => {
                let key = rest.trim_end_matches(|c| !is_of_key(c)).trim_end_matches('.');
                clean.push_str("[API key]");
                clean.push_str(&rest[key.len()..]);
            }
            None => clean.push_str(word),
        }
    }
    clean
}

fn expected(content_length: Option<u64>) -> String {
    content_length.map_or_else(String::new, |bytes| format!(" of {bytes}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str) -> Refusal {
        let endpoint = Endpoint::Responses;
        let hint = RetryHint::default();
        let refusal = Refusal {
            endpoint,
            status,
            code: None,
            message: None,
            request_id: None,
            redirect_host: None,
            hint,
        };
        refusal.with_body(format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#).as_bytes(), "sk-key")
    }

    fn hinted(status: u16, should_retry: Option<bool>, after_secs: Option<u64>) -> Advice {
        let hint = RetryHint { should_retry, after: after_secs.map(Duration::from_secs) };
        Refusal { hint, ..refusal(status, "x") }.advice()
    }

    #[test]
    fn each_status_has_its_kind_and_advice() {
        let retry = Advice::Retry { after: None };
        let cases = [
            (204, "", ErrorKind::BadAnswer, retry),
            (302, "", ErrorKind::Rejected, Advice::RetryAtMax),
            (400, "", ErrorKind::Rejected, Advice::Final),
            (401, "invalid_api_key", ErrorKind::Unauthorized, Advice::RetryAtMax),
            (403, "unsupported_country", ErrorKind::Forbidden, Advice::RetryAtMax),
            (403, "misalignment_policy_violation", ErrorKind::PolicyViolation, Advice::Final),
            (404, "", ErrorKind::NotFound, Advice::NotFound),
            (408, "", ErrorKind::Unavailable, retry),
            (409, "", ErrorKind::Unavailable, retry),
            (410, "", ErrorKind::NotFound, Advice::NotFound),
            (422, "", ErrorKind::Rejected, Advice::Final),
            (429, "rate_limit_exceeded", ErrorKind::RateLimited, retry),
            (429, "insufficient_quota", ErrorKind::RateLimited, Advice::RetryAtMax),
            (500, "", ErrorKind::Unavailable, retry),
            (529, "", ErrorKind::Unavailable, retry),
        ];
        for (status, code, kind, advice) in cases {
            let refusal = refusal(status, code);
            assert_eq!((refusal.kind(), refusal.advice()), (kind, advice), "{status} {code}");
        }
    }

    #[test]
    fn x_should_retry_takes_precedence_over_the_status() {
        for status in [400, 401, 403, 404, 429, 500] {
            let after = Some(Duration::from_secs(5));
            assert_eq!(hinted(status, Some(true), Some(5)), Advice::Retry { after }, "{status}");
        }
        for status in [400, 408, 500] {
            assert_eq!(hinted(status, Some(false), None), Advice::Final, "{status}");
        }
    }

    #[test]
    fn x_should_retry_never_gives_up_what_time_or_an_operator_can_fix() {
        assert_eq!(hinted(401, Some(false), None), Advice::RetryAtMax);
        assert_eq!(hinted(403, Some(false), None), Advice::RetryAtMax);
        assert_eq!(hinted(404, Some(false), None), Advice::NotFound);
        assert_eq!(hinted(429, Some(false), None), Advice::RetryAtMax);
        assert_eq!(hinted(429, Some(false), Some(3)), Advice::Retry { after: Some(Duration::from_secs(3)) });
    }

    #[test]
    fn a_message_is_cleaned_and_the_key_redacted() {
        let body = format!(r#"{{"error":{{"type":"t","message":"sk-key\n{}"}}}}"#, "é".repeat(500));
        let refusal = refusal(400, "x").with_body(body.as_bytes(), "sk-key");
        assert_eq!(refusal.code.as_deref(), Some("t"));
        let message = refusal.message.unwrap();
        assert!(
            message.starts_with("[API key]éé") && message.chars().count() == MESSAGE_CHARS_MAX,
            "{message}"
        );
    }

    #[test]
    fn a_masked_or_truncated_key_in_a_message_is_redacted() {
        for (message, expected) in [
            (
                "Incorrect API key provided: sk-proj-ab******yz. See the docs.",
                "Incorrect API key provided: [API key]. See the docs.",
            ),
            ("bad key 'sk-1234...wxyz'", "bad key '[API key]'"),
            ("sk-key and task-sk-1 ask-me", "[API key] and task-sk-1 ask-me"),
        ] {
            let body = format!(r#"{{"error":{{"message":"{message}"}}}}"#);
            let refusal = refusal(403, "x").with_body(body.as_bytes(), "sk-key");
            assert_eq!(refusal.message.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_body_that_is_not_an_error_object_is_ignored() {
        for body in [&b"<html>sk-key</html>"[..], b"", b"[]", b"{\"error\":\"sk-key\"}", b"\xff\xfe"] {
            let refusal = refusal(500, "x").with_body(body, "sk-key");
            assert_eq!(refusal.to_string(), "the request for responses failed with status 500");
        }
    }
}
