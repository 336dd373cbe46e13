//! States as pages show them: a word and a colour.

use store::ResultsState;
use webhook::{ClosedSet, EventState, FetchState, MaybeKnown, NotificationState};

/// A state. `class` is the colour: `ok`, `wait`, `bad` or none.
#[derive(Debug, Clone)]
pub(super) struct StateWord {
    pub(super) class: &'static str,
    pub(super) word: String,
}

impl StateWord {
    pub(super) fn new(class: &'static str, word: impl Into<String>) -> Self {
        Self { class, word: word.into() }
    }

    /// The status of an object; why it was not fetched, if it has none.
    pub(super) fn of_object(status: Option<&str>, fetch_state: &MaybeKnown<FetchState>) -> Self {
        if status.is_none() { Self::from(fetch_state) } else { Self::of_status(status) }
    }

    /// A status as OpenAI names it.
    pub(super) fn of_status(status: Option<&str>) -> Self {
        let class = match status {
            Some("completed" | "succeeded" | "idle") => "ok",
            Some("failed" | "expired" | "incomplete" | "budget_reached") => "bad",
            Some(
                "queued" | "in_progress" | "validating" | "validating_files" | "running" | "finalizing"
                | "cancelling" | "paused",
            ) => "wait",
            _ => "",
        };
        Self::new(class, status.unwrap_or("unknown").replace('_', " "))
    }

    /// Words are shown without underscores. A state that only a newer version knows has no colour.
    fn of<T: ClosedSet>(state: &MaybeKnown<T>, class: impl FnOnce(T) -> &'static str) -> Self {
        Self::new(state.known().map_or("", class), state.as_str().replace('_', " "))
    }
}

impl From<&MaybeKnown<EventState>> for StateWord {
    fn from(state: &MaybeKnown<EventState>) -> Self {
        Self::of(state, |state| match state {
            EventState::Stored => "ok",
            EventState::Received | EventState::Retrying => "wait",
            EventState::Dead => "bad",
        })
    }
}

impl From<&MaybeKnown<NotificationState>> for StateWord {
    fn from(state: &MaybeKnown<NotificationState>) -> Self {
        Self::of(state, |state| match state {
            NotificationState::Delivered => "ok",
            NotificationState::Pending => "wait",
            NotificationState::GivenUp => "bad",
        })
    }
}

impl From<&MaybeKnown<FetchState>> for StateWord {
    fn from(state: &MaybeKnown<FetchState>) -> Self {
        Self::of(state, |state| match state {
            FetchState::Fetched => "ok",
            FetchState::Off => "",
            FetchState::NotFound | FetchState::Expired | FetchState::Forbidden => "bad",
        })
    }
}

impl From<&MaybeKnown<ResultsState>> for StateWord {
    fn from(state: &MaybeKnown<ResultsState>) -> Self {
        Self::of(state, |state| match state {
            ResultsState::Complete => "ok",
            ResultsState::Importing => "wait",
            ResultsState::Mismatch | ResultsState::Expired | ResultsState::Unfetched => "bad",
        })
    }
}
