//! The pauses that a consumer knows of: those that its last read found in Redis, and those that its own deliveries have
//! begun since.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The assumed rest of a pause without a TTL, which an operator has set. The next read looks again.
const ENDLESS: Duration = Duration::from_secs(60);

/// Replies of `PTTL` other than milliseconds.
pub(crate) const PTTL_NO_KEY: i64 = -2;
const PTTL_NO_END: i64 = -1;

/// By project, for one family.
#[derive(Default)]
pub(crate) struct KnownPauses(Mutex<HashMap<String, Known>>);

struct Known {
    learned: Instant,
    ends: Instant,
}

impl KnownPauses {
    /// The remaining pause of a project.
    pub(crate) fn left(&self, project: &str) -> Option<Duration> {
        let ends = self.lock().get(project)?.ends;
        ends.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// A delivery of this consumer has paused its project.
    pub(crate) fn begin(&self, project: &str, left: Duration) {
        let now = Instant::now();
        self.lock().insert(project.to_owned(), Known { learned: now, ends: now + left });
    }

    /// Takes over a reply of `PTTL`. A pause that has begun since Redis was `asked` stays.
    pub(crate) fn learn(&self, project: &str, asked: Instant, ttl_ms: i64) {
        let mut known = self.lock();
        if known.get(project).is_some_and(|older| older.learned > asked) {
            return;
        }
        let left = match ttl_ms {
            PTTL_NO_END => ENDLESS,
            ms => Duration::from_millis(u64::try_from(ms).unwrap_or(0)),
        };
        if left.is_zero() {
            known.remove(project);
        } else {
            known.insert(project.to_owned(), Known { learned: asked, ends: asked + left });
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_pause_is_known_until_it_ends_or_redis_has_none() {
        let pauses = KnownPauses::default();
        for (ttl_ms, is_paused) in [(60_000, true), (PTTL_NO_KEY, false), (PTTL_NO_END, true), (0, false)] {
            pauses.learn("default", Instant::now(), ttl_ms);
            assert_eq!(pauses.left("default").is_some(), is_paused, "{ttl_ms}");
        }
        pauses.begin("default", MINUTE);
        assert!(pauses.left("default").is_some_and(|left| left > MINUTE / 2 && left <= MINUTE));
        assert_eq!(pauses.left("other"), None);
    }

    #[test]
    fn a_reply_that_is_older_than_a_pause_does_not_end_it() {
        let (pauses, asked) = (KnownPauses::default(), Instant::now());
        pauses.begin("default", MINUTE);
        // The clock may not have moved since.
        let before = asked.checked_sub(Duration::from_secs(1)).unwrap();
        pauses.learn("default", before, PTTL_NO_KEY);
        assert!(pauses.left("default").is_some());
        pauses.learn("default", Instant::now(), PTTL_NO_KEY);
        assert_eq!(pauses.left("default"), None);
    }
}
