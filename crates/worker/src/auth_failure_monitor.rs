//! Detects a wrong API key, which must not look like success: the worker warns when every recent fetch was refused or
//! not found.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use openai_client::ErrorKind;

/// Number of objects that make a pattern. Objects, not requests: one sample id may be requested repeatedly.
const RECENT: usize = 5;
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Tracks the outcomes of fetching events' objects.
#[derive(Default)]
pub(crate) struct AuthFailureMonitor {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last outcome of each object, the newest at the back.
    recent: VecDeque<(String, Option<ErrorKind>)>,
    warned_at: Option<Instant>,
}

impl AuthFailureMonitor {
    /// Records the outcome of fetching an object (`None`: success). Logs an error, at most once a minute, while the
    /// last outcome of every recent object was 401 or 404. Returns whether that is the case.
    pub(crate) fn note(&self, object_id: Option<&str>, outcome: Option<ErrorKind>) -> bool {
        let mut state = self.state.lock().expect("no panic while the lock is held");
        let object_id = object_id.unwrap_or_default();
        state.recent.retain(|(known, _)| known != object_id);
        state.recent.push_back((object_id.to_owned(), outcome));
        if state.recent.len() > RECENT {
            state.recent.pop_front();
        }
        let suspicious = |(_, outcome): &(String, Option<ErrorKind>)| {
            matches!(outcome, Some(ErrorKind::Unauthorized | ErrorKind::NotFound))
        };
        if state.recent.len() < RECENT || !state.recent.iter().all(suspicious) {
            return false;
        }
        if state.warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            state.warned_at = Some(Instant::now());
            tracing::error!(
                fetches = RECENT,
                "every recent fetch was 401 or 404: check that OPENAI_API_KEY belongs to the project that sends these webhooks, \
                 and check OPENAI_BASE_URL. Afterwards, landfall retry and landfall fetch --missing fetch \
                 the missing results"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_refusals_in_a_row_are_a_pattern_and_one_success_ends_it() {
        let monitor = AuthFailureMonitor::default();
        let kinds = [ErrorKind::NotFound, ErrorKind::Unauthorized];
        let note = |n: usize| monitor.note(Some(&format!("resp_{n}")), Some(kinds[n % 2]));
        let notes: Vec<bool> = (0..6).map(note).collect();
        assert_eq!(notes, [false, false, false, false, true, true]);
        assert!(!monitor.note(Some("resp_7"), None));
        assert!(!monitor.note(Some("resp_8"), Some(ErrorKind::NotFound)));
    }

    #[test]
    fn one_sample_id_requested_repeatedly_is_not_a_pattern() {
        let monitor = AuthFailureMonitor::default();
        assert!((0..20).all(|_| !monitor.note(Some("resp_abc123"), Some(ErrorKind::NotFound))));
    }

    #[test]
    fn an_outage_does_not_suggest_a_wrong_key() {
        let monitor = AuthFailureMonitor::default();
        assert!((0..10).all(|n| !monitor.note(Some(&format!("resp_{n}")), Some(ErrorKind::Unavailable))));
    }
}
