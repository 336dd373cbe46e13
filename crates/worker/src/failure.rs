//! Why an attempt failed, and how to proceed.

use std::time::Duration;

use error_text::chain;
use openai_client::{Advice, ApiError, ErrorKind};
use store::{StoreError, WriteFault};
use webhook::Reason;

/// A status is one word; an error message repeats at most this much of anything else.
const STATUS_CHARS_MAX: usize = 40;
/// Delay before free disk space is checked again.
const DISK_LOW_DELAY: Duration = Duration::from_secs(30);

/// Why a handler failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    #[error("could not read {what} from OpenAI")]
    Api {
        what: &'static str,
        #[source]
        source: ApiError,
    },
    /// Separate from other API errors: the object may still appear.
    #[error("OpenAI cannot find the {what} yet")]
    NotFoundYet {
        what: &'static str,
        retry_after: Duration,
        #[source]
        source: ApiError,
    },
    #[error("the {what} is still {status}, although its event says that it has ended")]
    NotTerminal { what: &'static str, status: String },
    /// The status may be a new terminal one, or not.
    #[error("the {what} {observation}")]
    UnknownStatus { what: &'static str, observation: String },
    #[error("the batch is {status}, but does not name all of its result files yet")]
    FileNotNamed { status: String },
    /// The response is stored; its event waits for its files.
    #[error("a file of the response could not be fetched yet")]
    ResponseFile {
        retry_after: Duration,
        #[source]
        source: Box<Self>,
    },
    /// The stored rows are kept.
    #[error(
        "the file {file_id}, downloaded again, has {readable} result lines, fewer than the {stored} stored"
    )]
    FewerLines { file_id: String, readable: i64, stored: i64 },
    #[error("the file {file_id} has {received_bytes} bytes, but OpenAI announced {announced_bytes}")]
    WrongLength { file_id: String, received_bytes: u64, announced_bytes: u64 },
    #[error("could not parse the response of OpenAI")]
    BadAnswer(#[source] serde_json::Error),
    #[error("could not store the result")]
    Store(#[from] StoreError),
    #[error("there is no API key for project {0}")]
    NoKey(String),
    /// A local condition: nothing was attempted.
    #[error("{free_bytes} bytes are free on the disk of FILES_URL, {needed_bytes} are needed")]
    DiskLow { free_bytes: u64, needed_bytes: u64 },
}

/// How to proceed after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAdvice {
    /// Retry with backoff.
    Retry,
    /// Retry with backoff for as long as the handler decides, which has its own time limit.
    Recheck,
    /// The same, after this delay.
    RecheckAfter(Duration),
    /// Retry after the delay that OpenAI asked for.
    RetryAfter(Duration),
    /// Only an operator can fix it; retry at the longest interval.
    RetryAtMax,
    /// Not a failed attempt: wait for a condition, however long it takes.
    Snooze(Duration),
    /// A retry cannot help.
    GiveUp,
}

/// A failed attempt, ready to be recorded and logged.
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// The whole cause chain.
    pub(crate) error: String,
    pub(crate) advice: RetryAdvice,
    /// From OpenAI's response.
    pub(crate) http_status: Option<u16>,
    pub(crate) request_id: Option<String>,
    /// Why the database could not be written, if that was the cause.
    pub(crate) write_fault: Option<WriteFault>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, error: String, advice: RetryAdvice) -> Self {
        Self { reason, error, advice, http_status: None, request_id: None, write_fault: None }
    }

    pub(crate) fn retryable(reason: Reason, error: String) -> Self {
        Self::new(reason, error, RetryAdvice::Retry)
    }

    pub(crate) fn of_store(error: &StoreError) -> Self {
        Self::retryable(error.reason(), chain(error))
    }
}

impl From<HandlerError> for Failure {
    fn from(error: HandlerError) -> Self {
        let (reason, advice) = error.classify();
        let mut failure = Self::new(reason, chain(&error), advice);
        match error {
            HandlerError::Api { source, .. } | HandlerError::NotFoundYet { source, .. } => {
                failure.http_status = source.status();
                failure.request_id = source.request_id().map(str::to_owned);
            }
            HandlerError::ResponseFile { source, .. } => {
                let cause = Self::from(*source);
                failure.http_status = cause.http_status;
                failure.request_id = cause.request_id;
                failure.write_fault = cause.write_fault;
            }
            HandlerError::Store(error) => failure.write_fault = Some(error.write_fault()),
            _ => {}
        }
        failure
    }
}

impl HandlerError {
    pub(crate) fn not_terminal(what: &'static str, status: Option<&str>) -> Self {
        Self::NotTerminal { what, status: shown_status(status) }
    }

    /// The reason, and how to proceed.
    pub(crate) fn classify(&self) -> (Reason, RetryAdvice) {
        match self {
            Self::Api { source, .. } => (api_reason(source.kind()), api_advice(source)),
            Self::NotFoundYet { retry_after, .. } => {
                (Reason::NotFound, RetryAdvice::RetryAfter(*retry_after))
            }
            Self::ResponseFile { retry_after, source } => {
                let (reason, advice) = source.classify();
                let advice = match (advice, source.as_ref()) {
                    (RetryAdvice::Snooze(_), _) | (RetryAdvice::GiveUp, Self::Store(_)) => advice,
                    _ => RetryAdvice::RecheckAfter(*retry_after),
                };
                (reason, advice)
            }
            Self::NotTerminal { .. } => (Reason::NotTerminal, RetryAdvice::Retry),
            Self::UnknownStatus { .. } | Self::FileNotNamed { .. } => {
                (Reason::NotTerminal, RetryAdvice::Recheck)
            }
            Self::FewerLines { .. } | Self::WrongLength { .. } => {
                (Reason::IncompleteDownload, RetryAdvice::Retry)
            }
            Self::BadAnswer(_) => (Reason::BadAnswer, RetryAdvice::Retry),
            Self::Store(error) if error.is_retryable() => (error.reason(), RetryAdvice::Retry),
            Self::Store(error) => (error.reason(), RetryAdvice::GiveUp),
            Self::NoKey(_) => (Reason::Unauthorized, RetryAdvice::RetryAtMax),
            Self::DiskLow { .. } => (Reason::DiskLow, RetryAdvice::Snooze(DISK_LOW_DELAY)),
        }
    }
}

pub(crate) fn shown_status(status: Option<&str>) -> String {
    status.unwrap_or("without a status").chars().take(STATUS_CHARS_MAX).collect()
}

fn api_advice(error: &ApiError) -> RetryAdvice {
    match error.advice() {
        Advice::Retry { after: Some(delay) } => RetryAdvice::RetryAfter(delay),
        Advice::Retry { after: None } | Advice::NotFound => RetryAdvice::Retry,
        Advice::RetryAtMax => RetryAdvice::RetryAtMax,
        Advice::Final => RetryAdvice::GiveUp,
    }
}

pub(crate) fn api_reason(kind: ErrorKind) -> Reason {
    match kind {
        ErrorKind::RateLimited => Reason::RateLimited,
        ErrorKind::Unavailable => Reason::OpenaiUnavailable,
        ErrorKind::Unauthorized => Reason::Unauthorized,
        ErrorKind::Forbidden => Reason::Forbidden,
        ErrorKind::PolicyViolation => Reason::PolicyViolation,
        ErrorKind::NotFound => Reason::NotFound,
        ErrorKind::Rejected => Reason::Rejected,
        ErrorKind::BadAnswer => Reason::BadAnswer,
        ErrorKind::IncompleteDownload => Reason::IncompleteDownload,
    }
}
