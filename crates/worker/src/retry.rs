//! When a failed attempt is retried, and when an event is given up.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Minimum number of requests before a 404 is final, so that a wrong clock does not make the first one final.
const NOT_FOUND_ATTEMPTS_MIN: u32 = 3;
/// Longest delay between requests for an object that may still appear.
const NOT_FOUND_DELAY_MAX: Duration = Duration::from_secs(15);

/// Full-jitter exponential backoff with a time limit.
#[derive(Debug, Clone)]
pub(crate) struct RetryPolicy {
    /// `RETRY_MIN_SECS`
    pub(crate) min: Duration,
    /// `RETRY_MAX_SECS`
    pub(crate) max: Duration,
    /// `RETRY_FOR_SECS`
    pub(crate) give_up_after: Duration,
    /// `NOT_FOUND_FOR_SECS`
    pub(crate) not_found_for: Duration,
}

impl RetryPolicy {
    /// The delay after attempt `attempt` (from 1): random between the minimum and `2^attempt` times it, so that events
    /// that failed together are not retried together.
    pub(crate) fn delay(&self, attempt: u32) -> Duration {
        let min = self.min.min(self.max);
        let ceiling = min.saturating_mul(2_u32.saturating_pow(attempt.min(31))).min(self.max);
        min + ceiling.saturating_sub(min).mul_f64(fastrand::f64())
    }

    /// Whether the time limit for an event first attempted at `first_attempt_at` has passed.
    pub(crate) fn is_over(&self, first_attempt_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        age(first_attempt_at, now) > self.give_up_after
    }

    /// Whether a state that might still change has lasted long enough to be final: `long`, or the time limit of an
    /// event if that is shorter.
    pub(crate) fn is_settled(&self, since: DateTime<Utc>, long: Duration, now: DateTime<Utc>) -> bool {
        age(since, now) >= long.min(self.give_up_after)
    }

    /// The delay before the request after a 404; `None` when the object is considered missing for good.
    pub(crate) fn not_found_delay(
        &self,
        attempt: u32,
        received_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Duration> {
        let over = attempt >= NOT_FOUND_ATTEMPTS_MIN && age(received_at, now) >= self.not_found_for;
        (!over).then(|| self.delay(attempt).min(NOT_FOUND_DELAY_MAX))
    }
}

fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - then).max(TimeDelta::zero()).to_std().expect("it is not negative")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            min: Duration::from_secs(2),
            max: Duration::from_secs(1800),
            give_up_after: Duration::from_secs(259_200),
            not_found_for: Duration::from_secs(120),
        }
    }

    #[test]
    fn delays_grow_from_the_minimum_to_the_maximum() {
        for attempt in [1, 2, 5, 11, 40, u32::MAX] {
            for _ in 0..200 {
                let delay = policy().delay(attempt);
                assert!(delay >= Duration::from_secs(2) && delay <= Duration::from_secs(1800));
                assert!(attempt > 1 || delay <= Duration::from_secs(4));
            }
        }
    }

    #[test]
    fn a_minimum_above_the_maximum_gives_the_maximum() {
        let policy = RetryPolicy { min: Duration::from_secs(9), max: Duration::from_secs(3), ..policy() };
        assert_eq!(policy.delay(4), Duration::from_secs(3));
    }

    #[test]
    fn a_404_is_final_after_two_minutes_and_three_attempts() {
        let received = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
        let at = |secs| received + TimeDelta::seconds(secs);
        assert!(policy().not_found_delay(1, received, at(0)).is_some());
        assert!(policy().not_found_delay(7, received, at(119)).unwrap() <= NOT_FOUND_DELAY_MAX);
        assert!(policy().not_found_delay(7, received, at(120)).is_none());
        assert!(
            policy().not_found_delay(2, received, at(86_400)).is_some(),
            "a late first request is not the last"
        );
        assert!(policy().not_found_delay(1, received, at(-600)).is_some(), "a clock that is behind");
    }

    #[test]
    fn an_unchanged_state_is_final_after_the_wait_or_the_time_limit() {
        let since = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
        let (long, at) = (Duration::from_secs(720), |secs| since + TimeDelta::seconds(secs));
        assert!(!policy().is_settled(since, long, at(719)) && policy().is_settled(since, long, at(720)));
        let short = RetryPolicy { give_up_after: Duration::from_secs(60), ..policy() };
        assert!(!short.is_settled(since, long, at(59)) && short.is_settled(since, long, at(60)));
    }

    #[test]
    fn an_event_is_given_up_after_72_hours() {
        let first = DateTime::from_timestamp(1_750_000_000, 0).unwrap();
        assert!(!policy().is_over(first, first + TimeDelta::hours(72)));
        assert!(policy().is_over(first, first + TimeDelta::hours(72) + TimeDelta::seconds(1)));
    }
}
