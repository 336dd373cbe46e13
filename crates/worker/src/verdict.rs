//! What is to become of a delivery, and why.

use std::time::Duration;

use service::telemetry::chain;
use store::WriteFault;
use webhook::{FetchState, Reason, closed_set};

use crate::handlers::{HandlerError, Remedy};

closed_set! {
    /// How a delivery ended: the log field and metric label `outcome`.
    pub(crate) enum DeliveryOutcome {
        /// The object and the event are stored.
        Stored => "stored",
        /// Nothing to fetch; the event is stored.
        Kept => "kept",
        /// A crash between commit and ack: nothing was left to do.
        AlreadyStored => "already_stored",
        Retry => "retry",
        /// Put back without costing an attempt.
        Snoozed => "snoozed",
        HandedBack => "handed_back",
        Dead => "dead",
        /// Another worker has it now.
        LeaseLost => "lease_lost",
    }
}

/// What to do with a delivery.
pub(crate) enum Verdict {
    Ack(DeliveryOutcome, Option<FetchState>),
    Retry { delay: Duration, failed: Failed },
    Dead { failed: Failed },
    Snooze { delay: Duration, reason: Reason },
    HandBack,
    LeaseLost,
}

/// A failed attempt, ready to be recorded and logged.
pub(crate) struct Failed {
    pub(crate) reason: Reason,
    /// The whole cause chain.
    pub(crate) error: String,
    pub(crate) remedy: Remedy,
    pub(crate) http_status: Option<u16>,
    pub(crate) request_id: Option<String>,
    /// What keeps the database from being written, when that was it.
    pub(crate) write_fault: Option<WriteFault>,
    /// When OpenAI deletes the file it was about, in unix milliseconds.
    pub(crate) file_expires_ms: Option<i64>,
}

impl Failed {
    /// A failure that no retry can help.
    pub(crate) fn new(reason: Reason, error: String) -> Self {
        Self {
            reason,
            error,
            remedy: Remedy::GiveUp,
            http_status: None,
            request_id: None,
            write_fault: None,
            file_expires_ms: None,
        }
    }

    pub(crate) fn retryable(reason: Reason, error: String) -> Self {
        Self { remedy: Remedy::Retry, ..Self::new(reason, error) }
    }

    pub(crate) fn of(error: &HandlerError) -> Self {
        let (http_status, request_id) = error.answer();
        Self {
            reason: error.reason(),
            error: chain(error),
            remedy: error.remedy(),
            http_status,
            request_id: request_id.map(str::to_owned),
            write_fault: match error {
                HandlerError::Store(error) => Some(error.write_fault()),
                _ => None,
            },
            file_expires_ms: None,
        }
    }
}
