//! Every state and reason Landfall reports: one enum each, shared by tables, dead letters, logs, metrics and `--json`.

use crate::closed_set;

/// A text that names no member of a closed set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {} {given:?}; use one of {}", words(set), known.join(", "))]
pub struct UnknownName {
    /// The enum's name.
    pub set: &'static str,
    pub given: String,
    pub known: &'static [&'static str],
}

/// `EventState` as people write it: `event state`.
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
    /// How far an event has come: the column `events.state`.
    pub enum EventState {
        /// Handed to a worker at least once, not yet settled.
        Received => "received",
        /// Its effect is in the store.
        Stored => "stored",
        /// The last attempt failed; another one is due.
        Retrying => "retrying",
        /// Given up; the entry lies in the dead letters.
        Dead => "dead",
    }
}

closed_set! {
    /// Where a stored object came from: the column `fetch_state` of the object tables.
    pub enum FetchState {
        /// Read from the API.
        Fetched => "fetched",
        /// `FETCH=off`: what the event itself held.
        Off => "off",
        /// The API does not know the id; what the event itself held.
        NotFound => "not_found",
        /// The object is known, but its content has expired.
        Expired => "expired",
        /// The API refuses this object for good.
        Forbidden => "forbidden",
    }
}

closed_set! {
    /// Why an attempt failed or an event was given up: dead letters, `events.reason`, metrics.
    pub enum Reason {
        /// 429, or a quota that is used up.
        RateLimited => "rate_limited",
        /// 408, 409, 5xx, or no connection.
        OpenaiUnavailable => "openai_unavailable",
        /// 401: the API key is wrong or revoked.
        Unauthorized => "unauthorized",
        /// 403: the API key may not read this object.
        Forbidden => "forbidden",
        /// 403 `misalignment_policy_violation`: final.
        PolicyViolation => "policy_violation",
        /// 404: perhaps not readable yet, perhaps a sample id.
        NotFound => "not_found",
        /// Another 4xx: asking again cannot help.
        Rejected => "rejected",
        /// The object has not reached its end although the event says so.
        NotTerminal => "not_terminal",
        /// The answer is not the JSON we expect, or larger than its cap.
        BadAnswer => "bad_answer",
        /// A file ended early, or is not as long as announced.
        IncompleteDownload => "incomplete_download",
        /// The database could not be written.
        DatabaseUnavailable => "database_unavailable",
        /// The database refused a value of the event or its object for good.
        ValueRefused => "value_refused",
        /// The raw files could not be written.
        FilesUnavailable => "files_unavailable",
        /// The disk of the raw files is nearly full (`MIN_FREE_BYTES`); downloads wait.
        DiskLow => "disk_low",
        /// The handler did not end, or made no progress, within its time.
        TimedOut => "timed_out",
        /// A bug of ours: the handler panicked.
        HandlerPanicked => "handler_panicked",
        /// The queue entry cannot be decoded.
        UndecodableEntry => "undecodable_entry",
        /// A newer Landfall wrote the entry; put back for a newer worker.
        NewerFormat => "newer_format",
        /// The lease ran out again and again: the entry takes its worker down.
        Crashed => "crashed",
        /// Retried for as long as the settings allow.
        GaveUp => "gave_up",
    }
}

closed_set! {
    /// Where the cause of a failure lies, so that a person knows where to look first.
    pub enum ReasonClass {
        /// Our machines, our settings, our bugs.
        Ours => "ours",
        /// OpenAI, or the network before it.
        Openai => "openai",
        /// The event itself: no retry and no repair will bring its object.
        BadData => "bad_data",
    }
}

closed_set! {
    /// What the user's own systems are told: the `type` of a notification.
    pub enum NotificationType {
        /// A response is in the store.
        ResponseStored => "response.stored",
        /// A batch is in the store, with the lines of its files.
        BatchStored => "batch.stored",
        /// A fine-tuning job is in the store, with its model and metrics.
        FineTuningStored => "fine_tuning.stored",
        /// An eval run is in the store.
        EvalStored => "eval.stored",
        /// An event that is its own record: calls, agents, safety, unknown types. Told ahead of the others.
        EventReceived => "event.received",
        /// An event was given up; it lies in the dead letters.
        EventDead => "event.dead",
        /// Sent by `landfall targets test`; there is no event.
        Test => "landfall.test",
    }
}

closed_set! {
    /// How far a notification has come: the column `notifications.state`.
    pub enum NotificationState {
        /// To be sent, now or at its next attempt.
        Pending => "pending",
        /// The target answered with a 2xx.
        Delivered => "delivered",
        /// The last attempt of its schedule failed; `landfall notifications retry` starts over.
        GivenUp => "given_up",
    }
}

impl NotificationType {
    /// Whether it tells of an object in the store; else of an event.
    pub const fn is_of_object(self) -> bool {
        match self {
            Self::ResponseStored | Self::BatchStored | Self::FineTuningStored | Self::EvalStored => true,
            Self::EventReceived | Self::EventDead | Self::Test => false,
        }
    }
}

impl Reason {
    /// Where the cause lies.
    pub const fn class(self) -> ReasonClass {
        match self {
            Self::RateLimited
            | Self::OpenaiUnavailable
            | Self::PolicyViolation
            | Self::NotTerminal
            | Self::BadAnswer
            | Self::IncompleteDownload => ReasonClass::Openai,
            // A wrong or too narrow key, a full disk, a bug, a limit that we set.
            Self::Unauthorized
            | Self::Forbidden
            | Self::DatabaseUnavailable
            | Self::FilesUnavailable
            | Self::DiskLow
            | Self::TimedOut
            | Self::HandlerPanicked
            | Self::NewerFormat
            | Self::Crashed
            | Self::GaveUp => ReasonClass::Ours,
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
