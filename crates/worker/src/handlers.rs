//! From an event to its handler: one file per family. Each writes so that a second run changes nothing.

mod batch;
mod batch_file;
mod batch_lines;
mod download;
mod eval_run;
mod fetch;
mod fine_tuning;
mod kept;
mod pace;
mod raw_object;
mod reread;
mod response;
mod unknown_status;

use std::time::Duration;

use openai_client::{Advice, ApiError, ErrorKind};
use store::StoreError;
use webhook::{Family, FetchState, Reason};

use crate::context::Context;
use crate::handlers::unknown_status::Sight;
use crate::work::Work;

/// A status is a word; of whatever else stands there an error repeats no more than this.
const STATUS_CHARS_MAX: usize = 40;

/// How soon a full disk is looked at again.
const DISK_LOW_DELAY: Duration = Duration::from_secs(30);

/// What a handler did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The object is stored, together with the event.
    Stored(FetchState),
    /// There is nothing to fetch; the event itself is stored.
    Kept,
}

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
    #[error("the {what} {sight}")]
    UnknownStatus { what: &'static str, sight: Sight },
    #[error("the batch is {status}, but does not name yet all files that its counts speak of")]
    FileNotNamed { status: String },
    /// What is stored stays as it is.
    #[error("of the file {file_id}, read again, {readable} lines are results, but {stored} are stored")]
    FewerLines { file_id: String, readable: i64, stored: i64 },
    #[error("the file {file_id} has {received_bytes} bytes, but OpenAI announced {announced_bytes}")]
    WrongLength { file_id: String, received_bytes: u64, announced_bytes: u64 },
    #[error("answer of OpenAI could not be read")]
    BadAnswer(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("could not store the result")]
    Store(#[from] StoreError),
    #[error("there is no API key for project {0}")]
    NoKey(String),
    /// Ours to wait for: nothing was tried.
    #[error("{free_bytes} bytes are free on the disk of FILES_URL, {needed_bytes} are needed")]
    DiskLow { free_bytes: u64, needed_bytes: u64 },
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Try again by the retry policy.
    Retry,
    /// The same, for as long as the handler says: it knows an end of its own.
    Recheck,
    /// Try again then: the other side said when.
    RetryAfter(Duration),
    /// Only a person can help; try again at the longest interval.
    RetrySlowly,
    /// Not a failed attempt: something of ours has to come right first, however long it takes.
    Wait(Duration),
    /// Trying again cannot help.
    GiveUp,
}

impl HandlerError {
    fn not_terminal(what: &'static str, status: Option<&str>) -> Self {
        Self::NotTerminal { what, status: shown_status(status) }
    }

    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Api { source, .. } => api_reason(source.kind()),
            Self::NotFoundYet { .. } => Reason::NotFound,
            Self::NotTerminal { .. } | Self::UnknownStatus { .. } | Self::FileNotNamed { .. } => {
                Reason::NotTerminal
            }
            Self::FewerLines { .. } => Reason::IncompleteDownload,
            Self::WrongLength { .. } => Reason::IncompleteDownload,
            Self::BadAnswer(_) => Reason::BadAnswer,
            Self::Store(error) => error.reason(),
            Self::NoKey(_) => Reason::Unauthorized,
            Self::DiskLow { .. } => Reason::DiskLow,
        }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self {
            Self::Api { source, .. } => match source.advice() {
                Advice::Retry { after: Some(delay) } => Remedy::RetryAfter(delay),
                Advice::Retry { after: None } | Advice::NotFound => Remedy::Retry,
                Advice::RetrySlowly => Remedy::RetrySlowly,
                Advice::Final => Remedy::GiveUp,
            },
            Self::NotFoundYet { retry_after, .. } => Remedy::RetryAfter(*retry_after),
            Self::NotTerminal { .. }
            | Self::FewerLines { .. }
            | Self::WrongLength { .. }
            | Self::BadAnswer(_) => Remedy::Retry,
            Self::UnknownStatus { .. } | Self::FileNotNamed { .. } => Remedy::Recheck,
            Self::Store(error) if error.is_retryable() => Remedy::Retry,
            Self::Store(_) => Remedy::GiveUp,
            Self::NoKey(_) => Remedy::RetrySlowly,
            Self::DiskLow { .. } => Remedy::Wait(DISK_LOW_DELAY),
        }
    }

    /// The status and request id of OpenAI's answer, for the log.
    pub(crate) fn answer(&self) -> (Option<u16>, Option<&str>) {
        match self {
            Self::Api { source, .. } | Self::NotFoundYet { source, .. } => {
                (source.status(), source.request_id())
            }
            Self::NotTerminal { .. }
            | Self::UnknownStatus { .. }
            | Self::FileNotNamed { .. }
            | Self::FewerLines { .. }
            | Self::WrongLength { .. }
            | Self::BadAnswer(_)
            | Self::Store(_)
            | Self::NoKey(_)
            | Self::DiskLow { .. } => (None, None),
        }
    }
}

fn shown_status(status: Option<&str>) -> String {
    status.unwrap_or("without a status").chars().take(STATUS_CHARS_MAX).collect()
}

fn api_reason(kind: ErrorKind) -> Reason {
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

/// Whether the event is its own record: there is nothing to fetch, or no id to fetch it by.
pub(crate) fn is_kept(work: &Work<'_>) -> bool {
    match work.family() {
        Family::Response | Family::Batch | Family::FineTuning | Family::Eval => work.object_id().is_none(),
        Family::Realtime | Family::Agent | Family::Safety | Family::Other => true,
    }
}

/// Hands the event to its family's handler.
pub(crate) async fn dispatch(context: &Context, work: &Work<'_>) -> Result<Outcome, HandlerError> {
    match work.family() {
        Family::Response => response::handle(context, work).await,
        Family::Batch => batch::handle(context, work).await,
        Family::FineTuning => fine_tuning::handle(context, work).await,
        Family::Eval => eval_run::handle(context, work).await,
        Family::Realtime | Family::Agent | Family::Safety | Family::Other => {
            kept::handle(context, work).await
        }
    }
}
