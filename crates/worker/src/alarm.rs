//! A wrong API key must not look like quiet success: when every recent fetch was refused or unknown, the worker shouts.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use openai_client::ErrorKind;

/// So many fetches in a row make a pattern.
const RECENT: usize = 5;
const SHOUT_EVERY: Duration = Duration::from_secs(60);

/// Watches the outcomes of fetches of events' objects.
#[derive(Default)]
pub(crate) struct KeyAlarm {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recent: VecDeque<Option<ErrorKind>>,
    shouted_at: Option<Instant>,
}

impl KeyAlarm {
    /// Takes one fetch's outcome (`None`: it worked) and logs an error, at most once a minute, while all recent ones
    /// were 401 or 404. Returns whether the pattern holds.
    pub(crate) fn note(&self, outcome: Option<ErrorKind>) -> bool {
        let mut state = self.state.lock().expect("nobody panics while holding it");
        state.recent.push_back(outcome);
        if state.recent.len() > RECENT {
            state.recent.pop_front();
        }
        let suspicious =
            |o: &Option<ErrorKind>| matches!(o, Some(ErrorKind::Unauthorized | ErrorKind::NotFound));
        if state.recent.len() < RECENT || !state.recent.iter().all(suspicious) {
            return false;
        }
        if state.shouted_at.is_none_or(|at| at.elapsed() >= SHOUT_EVERY) {
            state.shouted_at = Some(Instant::now());
            tracing::error!(
                fetches = RECENT,
                "every recent fetch was 401 or 404: is OPENAI_API_KEY of the project that sends these webhooks, \
                 and is OPENAI_BASE_URL right?"
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
        let alarm = KeyAlarm::default();
        let kinds = [ErrorKind::NotFound, ErrorKind::Unauthorized];
        let notes: Vec<bool> = (0..6).map(|n| alarm.note(Some(kinds[n % 2]))).collect();
        assert_eq!(notes, [false, false, false, false, true, true]);
        assert!(!alarm.note(None));
        assert!(!alarm.note(Some(ErrorKind::NotFound)));
    }

    #[test]
    fn an_outage_is_no_sign_of_a_wrong_key() {
        let alarm = KeyAlarm::default();
        assert!((0..10).all(|_| !alarm.note(Some(ErrorKind::Unavailable))));
    }
}
