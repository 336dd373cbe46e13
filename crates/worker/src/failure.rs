//! Why an attempt failed, and what to do about it.

use std::time::Duration;

use openai_client::{Advice, ApiError, ErrorKind};
use service::telemetry::chain;
use store::{StoreError, WriteFault};
use webhook::Reason;

/// A status is a word; of whatever else stands there an error repeats no more than this.
const STATUS_CHARS_MAX: usize = 40;
/// How soon a full disk is looked at again.
const DISK_LOW_DELAY: Duration = Duration::from_secs(30);

/// Why a handler could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    #[error("could not read {what} from OpenAI")]
    Api {
        what: &'static str,
        #[source]
        source: ApiError,
    },
    /// Distinct from other answers: an object that may still appear.
    #[error("OpenAI does not know the {what} yet")]
    NotFoundYet {
        what: &'static str,
        retry_after: Duration,
        #[source]
        source: ApiError,
    },
    #[error("the {what} is still {status}, although the event says it has ended")]
    NotTerminal { what: &'static str, status: String },
    /// Perhaps an end that is new, perhaps not.
    #[error("the {what} {observation}")]
    UnknownStatus { what: &'static str, observation: String },
    #[error("the batch is {status}, but does not name yet all files that its counts speak of")]
    FileNotNamed { status: String },
    /// What is stored stays as it is.
    #[error("of the file {file_id}, read again, {readable} lines are results, but {stored} are stored")]
    FewerLines { file_id: String, readable: i64, stored: i64 },
    #[error("the file {file_id} has {received_bytes} bytes, but OpenAI announced {announced_bytes}")]
    WrongLength { file_id: String, received_bytes: u64, announced_bytes: u64 },
    #[error("answer of OpenAI could not be read")]
    BadAnswer(#[source] serde_json::Error),
    #[error("could not store the result")]
    Store(#[from] StoreError),
    #[error("there is no API key for project {0}")]
    NoKey(String),
    /// Ours to wait for: nothing was tried.
    #[error("{free_bytes} bytes are free on the disk of FILES_URL, {needed_bytes} are needed")]
    DiskLow { free_bytes: u64, needed_bytes: u64 },
}

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAdvice {
    /// Try again by the retry policy.
    Retry,
    /// The same, for as long as the handler says: it knows an end of its own.
    Recheck,
    /// Try again then: the other side said when.
    RetryAfter(Duration),
    /// Only a person can help; try again at the longest interval.
    RetryAtMax,
    /// Not a failed attempt: something has to come right first, however long it takes.
    Snooze(Duration),
    /// Trying again cannot help.
    GiveUp,
}

/// A failed attempt, ready to be recorded and logged.
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// The whole cause chain.
    pub(crate) error: String,
    pub(crate) advice: RetryAdvice,
    /// Of OpenAI's answer.
    pub(crate) http_status: Option<u16>,
    pub(crate) request_id: Option<String>,
    /// What keeps the database from being written, when that was it.
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

    /// Its reason, and what to do about it.
    pub(crate) fn classify(&self) -> (Reason, RetryAdvice) {
        match self {
            Self::Api { source, .. } => (api_reason(source.kind()), api_advice(source)),
            Self::NotFoundYet { retry_after, .. } => {
                (Reason::NotFound, RetryAdvice::RetryAfter(*retry_after))
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
