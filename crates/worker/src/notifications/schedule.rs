//! When a notification is retried, and the clock that decides it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use store::BreakerPolicy;

/// The delay after each failed attempt; after the last one the notification is given up. More than 75 hours in total.
const STEPS_SECS: [f64; 9] = [
    5.0,
    5.0 * 60.0,
    30.0 * 60.0,
    2.0 * 3600.0,
    5.0 * 3600.0,
    10.0 * 3600.0,
    14.0 * 3600.0,
    20.0 * 3600.0,
    24.0 * 3600.0,
];
/// Each delay is extended by up to this share, so that notifications that failed together are not retried together.
const JITTER: f64 = 0.1;

/// A failing target is probed soon at first, then every five minutes, which is the longest time to notice a recovery.
const BREAKER: BreakerPolicy =
    BreakerPolicy { failures_max: 5, wait_min: Duration::from_secs(5), wait_max: Duration::from_secs(300) };

const LEASE_MARGIN: Duration = Duration::from_secs(30);
const LEASE_MARGIN_MIN: Duration = Duration::from_secs(1);

/// The delays between the attempts of one notification.
#[derive(Debug, Clone)]
pub struct Schedule(Vec<Duration>);

/// Why a text is not a valid schedule.
#[derive(Debug, thiserror::Error)]
#[error("write seconds separated by commas, such as 5,300,1800")]
pub struct WrongSchedule;

impl Default for Schedule {
    fn default() -> Self {
        Self(STEPS_SECS.map(Duration::from_secs_f64).to_vec())
    }
}

/// The format of the setting.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs: Vec<String> = self.0.iter().map(|wait| wait.as_secs_f64().to_string()).collect();
        f.write_str(&secs.join(","))
    }
}

impl FromStr for Schedule {
    type Err = WrongSchedule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let secs = |part: &str| {
            let secs = part.trim().parse().map_err(|_| WrongSchedule)?;
            Duration::try_from_secs_f64(secs).map_err(|_| WrongSchedule)
        };
        text.split(',').map(secs).collect::<Result<_, _>>().map(Self)
    }
}

impl Schedule {
    /// The delay after this many failed attempts (from 1); `None` after the last.
    pub(crate) fn wait(&self, failed: u32) -> Option<Duration> {
        let step = self.0.get(usize::try_from(failed.checked_sub(1)?).ok()?)?;
        Some(step.mul_f64(1.0 + JITTER * fastrand::f64()))
    }
}

/// The clock and the time limits. Tests have their own clock and schedule.
#[derive(Clone)]
pub(crate) struct Timing {
    pub(crate) clock: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    pub(crate) schedule: Schedule,
    pub(crate) breaker: BreakerPolicy,
    /// How much longer a lease lasts than the longest attempt: the result must be written, and clocks differ.
    pub(crate) lease_margin: Duration,
}

impl Timing {
    pub(crate) fn new(schedule: Schedule) -> Self {
        // With a shorter schedule, the breaker is shorter too.
        let longest = schedule.0.iter().max().copied().unwrap_or_default();
        let wait_max = BREAKER.wait_max.min(longest);
        let breaker = BreakerPolicy { wait_min: BREAKER.wait_min.min(wait_max), wait_max, ..BREAKER };
        let lease_margin = LEASE_MARGIN.min(longest.max(LEASE_MARGIN_MIN));
        Self { clock: Arc::new(Utc::now), schedule, breaker, lease_margin }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_is_the_documented_one_with_a_little_more_at_random() {
        let schedule = Schedule::default();
        for (failed, secs) in (1..).zip(STEPS_SECS) {
            for _ in 0..100 {
                let wait = schedule.wait(failed).unwrap().as_secs_f64();
                assert!(wait >= secs && wait <= secs * 1.1, "{failed}: {wait}");
            }
        }
        assert_eq!((schedule.wait(0), schedule.wait(10), schedule.wait(u32::MAX)), (None, None, None));
        let total: f64 = STEPS_SECS.iter().sum();
        assert!(total > 75.0 * 3600.0, "longer than OpenAI's own 72 hours");
    }

    #[test]
    fn a_schedule_is_read_from_seconds() {
        let schedule: Schedule = "0, 0.5,3".parse().unwrap();
        assert_eq!(schedule.0, [0.0, 0.5, 3.0].map(Duration::from_secs_f64));
        assert_eq!(schedule.to_string(), "0,0.5,3");
        assert_eq!(Schedule::default().to_string(), "5,300,1800,7200,18000,36000,50400,72000,86400");
        for text in ["", "a", "1;2", "-1", "inf"] {
            assert!(text.parse::<Schedule>().is_err(), "{text}");
        }
    }
    #[test]
    fn a_link_outlives_the_delivery_schedule() {
        let schedule = Schedule::default();
        let whole: Duration = (1..).map_while(|failed| schedule.wait(failed)).sum();
        assert!(notifier::ResultLinks::VALID_FOR > whole.mul_f64(1.5), "{whole:?}");
    }
}
