//! Every state and reason that Landfall reports: one enum each, shared by tables, dead letters, logs, metrics and
//! `--json`.

use crate::closed_set;

/// A text that is not the name of any member of a closed set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {} {given:?}; use one of {}", words(set), known.join(", "))]
pub struct UnknownName {
    /// The name of the enum.
    pub set: &'static str,
    pub given: String,
    pub known: &'static [&'static str],
}

/// `EventState` in lower case with spaces: `event state`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

closed_set! {
    /// The progress of an event: the column `events.state`.
    pub enum EventState {
        /// Delivered to a worker at least once, not yet settled.
        Received => "received",
        /// Its result is in the store.
        Stored => "stored",
        /// The last attempt failed; another one is scheduled.
        Retrying => "retrying",
        /// Dead-lettered.
        Dead => "dead",
    }
}

closed_set! {
    /// The origin of a stored object: the column `fetch_state` of the object tables.
    pub enum FetchState {
        /// Fetched from the API.
        Fetched => "fetched",
        /// `FETCH=off`: only the content of the event.
        Off => "off",
        /// The API does not know the id; only the content of the event.
        NotFound => "not_found",
        /// The object exists, but its content has expired.
        Expired => "expired",
        /// The API permanently refuses access to this object.
        Forbidden => "forbidden",
    }
}

closed_set! {
    /// What became of an object in the end, or of an event without one: `state` in the stream of changes.
    pub enum FinalState {
        /// It is in the store; with `FETCH=off`, as the event brought it.
        Stored => "stored",
        /// The API does not know the object.
        NotFound => "not_found",
        /// The object exists, but its content has expired.
        Expired => "expired",
        /// The API permanently refuses access to the object.
        Forbidden => "forbidden",
        /// The event was dead-lettered.
        Dead => "dead",
    }
}

impl From<FetchState> for FinalState {
    fn from(state: FetchState) -> Self {
        match state {
            FetchState::Fetched | FetchState::Off => Self::Stored,
            FetchState::NotFound => Self::NotFound,
            FetchState::Expired => Self::Expired,
            FetchState::Forbidden => Self::Forbidden,
        }
    }
}

closed_set! {
    /// Why an attempt failed or an event was dead-lettered: dead letters, `events.reason`, metrics.
    pub enum Reason {
        /// 429, or an exhausted quota.
        RateLimited => "rate_limited",
        /// 408, 409, 5xx, or no connection.
        OpenaiUnavailable => "openai_unavailable",
        /// 401: the API key is wrong or revoked.
        Unauthorized => "unauthorized",
        /// 403: the API key may not read this object.
        Forbidden => "forbidden",
        /// 403 `misalignment_policy_violation`: final.
        PolicyViolation => "policy_violation",
        /// 404: possibly not readable yet, or a sample id.
        NotFound => "not_found",
        /// Another 4xx: a retry cannot help.
        Rejected => "rejected",
        /// The object is not in a final state although the event says so.
        NotTerminal => "not_terminal",
        /// The response is not the expected JSON, or exceeds the size limit.
        BadAnswer => "bad_answer",
        /// A download ended early, or has the wrong length.
        IncompleteDownload => "incomplete_download",
        /// The database cannot be written.
        DatabaseUnavailable => "database_unavailable",
        /// The database permanently rejected a value of the event or its object.
        ValueRefused => "value_refused",
        /// The raw files cannot be written.
        FilesUnavailable => "files_unavailable",
        /// The disk for raw files is nearly full (`MIN_FREE_BYTES`); downloads wait.
        DiskLow => "disk_low",
        /// The handler exceeded its time limit, or made no progress within it.
        TimedOut => "timed_out",
        /// A bug: the handler panicked.
        HandlerPanicked => "handler_panicked",
        /// The queue entry cannot be decoded.
        UndecodableEntry => "undecodable_entry",
        /// A newer version of Landfall wrote the entry; it is returned to the queue for a newer worker.
        NewerFormat => "newer_format",
        /// The lease expired repeatedly: the entry crashes its worker.
        Crashed => "crashed",
        /// Retried until the configured limit.
        GaveUp => "gave_up",
        /// A notification of a call: its time to live is over.
        TooLate => "too_late",
    }
}

closed_set! {
    /// The origin of a failure, so that people know where to look first.
    pub enum ReasonClass {
        /// Our machines, settings or bugs.
        Ours => "ours",
        /// OpenAI, or the network in between.
        Openai => "openai",
        /// The event itself: no retry or repair can obtain its object.
        BadData => "bad_data",
    }
}

closed_set! {
    /// The `type` of a notification.
    pub enum NotificationType {
        /// A response is in the store.
        ResponseStored => "response.stored",
        /// A batch is in the store, with the lines of its files.
        BatchStored => "batch.stored",
        /// A fine-tuning job is in the store, with its model and metrics.
        FineTuningStored => "fine_tuning.stored",
        /// An eval run is in the store.
        EvalStored => "eval.stored",
        /// A safety alert is in the store.
        SafetyStored => "safety.stored",
        /// An agent session is in the store, with its turns and files.
        AgentStored => "agent.stored",
        /// An event without an object: calls, environments of agents, other safety events, unknown types. Sent before all others.
        EventReceived => "event.received",
        /// An event was dead-lettered.
        EventDead => "event.dead",
        /// Sent by `landfall targets test`; has no event.
        Test => "landfall.test",
    }
}

closed_set! {
    /// The progress of a notification: the column `notifications.state`.
    pub enum NotificationState {
        /// Waiting to be sent, now or at its next attempt.
        Pending => "pending",
        /// The target responded with a 2xx.
        Delivered => "delivered",
        /// The last attempt of its schedule failed, or it is too late; `landfall notifications retry` starts it again.
        GivenUp => "given_up",
    }
}

impl NotificationType {
    /// Whether it is about a stored object; otherwise it is about an event.
    pub const fn is_of_object(self) -> bool {
        match self {
            Self::ResponseStored
            | Self::BatchStored
            | Self::FineTuningStored
            | Self::EvalStored
            | Self::SafetyStored
            | Self::AgentStored => true,
            Self::EventReceived | Self::EventDead | Self::Test => false,
        }
    }
}

impl Reason {
    /// The origin of the failure.
    pub const fn class(self) -> ReasonClass {
        match self {
            Self::RateLimited
            | Self::OpenaiUnavailable
            | Self::PolicyViolation
            | Self::NotTerminal
            | Self::BadAnswer
            | Self::IncompleteDownload => ReasonClass::Openai,
            // A wrong or restricted key, a full disk, a bug, a limit that we set.
            Self::Unauthorized
            | Self::Forbidden
            | Self::DatabaseUnavailable
            | Self::FilesUnavailable
            | Self::DiskLow
            | Self::TimedOut
            | Self::HandlerPanicked
            | Self::NewerFormat
            | Self::Crashed
            | Self::GaveUp
            | Self::TooLate => ReasonClass::Ours,
            Self::NotFound | Self::Rejected | Self::UndecodableEntry | Self::ValueRefused => {
                ReasonClass::BadData
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_unique() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>(), Ok(*reason));
        }
        let unique: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(unique.len(), Reason::ALL.len());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "sotred".parse::<EventState>().unwrap_err().to_string();
        assert_eq!(error, "unknown event state \"sotred\"; use one of received, stored, retrying, dead");
    }
}
