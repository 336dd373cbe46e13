//! What all workers know of a target: whether it may be sent to, and how fast. Pure: rows in, rows out.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, closed_set};

use crate::columns::columns;
use crate::notification::{BreakerPolicy, LeaseRequest};

closed_set! {
    /// Whether a target is sent to: the column `notification_targets.state`.
    pub enum TargetState {
        Active => "active",
        /// By a person, until `landfall targets resume`.
        Paused => "paused",
        /// It answered 410; until `landfall targets resume`.
        Disabled => "disabled",
    }
}

closed_set! {
    /// The same, with whether an active target takes what it is sent.
    pub enum TargetCondition {
        Active => "active",
        /// The last attempt failed.
        Failing => "failing",
        Paused => "paused",
        Disabled => "disabled",
    }
}

/// A row of `notification_targets`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetHealth {
    pub target: String,
    pub state: MaybeKnown<TargetState>,
    /// Attempts that failed since the last success.
    pub failures_in_row: u32,
    /// Nothing is sent before; then one attempt tells whether the target is back.
    #[serde(rename = "waits_until")]
    pub open_until: Option<DateTime<Utc>>,
    /// By its rate, what was taken is sent by then.
    #[serde(skip)]
    pub rate_limited_until: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
}

columns! {
    TargetHealth {
        target: Text,
        state: Text,
        failures_in_row: Integer,
        open_until as "waits_until": Time,
        rate_limited_until as "busy_until": Time,
        updated_at: Time,
    }
}

/// What may be sent to a target now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Allowance {
    UpTo(u32),
    /// The target has failed again and again: one, to see.
    Probe,
    NotBefore(DateTime<Utc>),
    /// Until a person says so.
    Stopped,
}

/// So much of a second's rate may be sent at once; urgent ones may use a whole second's.
const BURST: TimeDelta = TimeDelta::milliseconds(200);
const BURST_URGENT: TimeDelta = TimeDelta::seconds(1);

impl TargetHealth {
    /// One that nothing is known of.
    pub fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            state: TargetState::Active.into(),
            failures_in_row: 0,
            open_until: None,
            rate_limited_until: None,
            updated_at: None,
        }
    }

    pub fn condition(&self) -> TargetCondition {
        match self.state.known() {
            Some(TargetState::Active) if self.failures_in_row > 0 => TargetCondition::Failing,
            Some(TargetState::Active) => TargetCondition::Active,
            // A state of another version: this one sends nothing, as while it is paused.
            Some(TargetState::Paused) | None => TargetCondition::Paused,
            Some(TargetState::Disabled) => TargetCondition::Disabled,
        }
    }

    /// How many of those asked for may be sent now.
    pub(crate) fn allowance(&self, request: &LeaseRequest, now: DateTime<Utc>) -> Allowance {
        match self.state.known() {
            // What another version has made of it is not for us to undo.
            Some(TargetState::Paused | TargetState::Disabled) | None => return Allowance::Stopped,
            Some(TargetState::Active) => {}
        }
        if let Some(until) = self.open_until.filter(|until| *until > now) {
            return Allowance::NotBefore(until);
        }
        if self.failures_in_row >= request.breaker.failures_max {
            return Allowance::Probe;
        }
        let each = each(request.rate_per_sec);
        let burst = each.max(if request.urgent { BURST_URGENT } else { BURST });
        let rate_limited_until = self.rate_limited_until.map_or(now, |until| until.max(now));
        let free = now + burst - rate_limited_until;
        let count = free.as_seconds_f64() / each.as_seconds_f64();
        // A rounding error must not cost the only one.
        let count = (count + 1e-6).floor().clamp(0.0, f64::from(request.limit)) as u32;
        if count > 0 {
            Allowance::UpTo(count)
        } else {
            Allowance::NotBefore(rate_limited_until + each - burst)
        }
    }

    /// After `count` were taken.
    pub(crate) fn taken(mut self, count: u32, rate_per_sec: f64, now: DateTime<Utc>) -> Self {
        let rate_limited_until = self.rate_limited_until.map_or(now, |until| until.max(now));
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.rate_limited_until = Some(rate_limited_until + each(rate_per_sec) * count);
        self.updated_at = Some(now);
        self
    }

    /// While one attempt tells whether the target is back: nobody else tries. Ends by itself should its worker die.
    pub(crate) fn probing(mut self, lease_for: Duration, now: DateTime<Utc>) -> Self {
        self.open_until = Some(later(now, lease_for));
        self.updated_at = Some(now);
        self
    }

    pub(crate) fn after_success(mut self, now: DateTime<Utc>) -> Self {
        (self.failures_in_row, self.open_until, self.updated_at) = (0, None, Some(now));
        self
    }

    /// `is_probe`: the attempt was the one that was to tell whether the target is back.
    pub(crate) fn after_failure(mut self, failure: TargetFailure, breaker: BreakerPolicy) -> Self {
        let TargetFailure { is_probe, is_gone, retry_after, at } = failure;
        let waits = self.open_until.filter(|until| *until > at);
        // Attempts that were under way when the target was left alone tell nothing new.
        let is_news = is_probe || waits.is_none();
        self.failures_in_row = self.failures_in_row.saturating_add(u32::from(is_news));
        let over = self.failures_in_row.checked_sub(breaker.failures_max).filter(|_| is_news);
        let wait = over.map(|over| {
            breaker.wait_min.saturating_mul(2_u32.saturating_pow(over.min(16))).min(breaker.wait_max)
        });
        let wanted = wait.max(retry_after).map(|wait| later(at, wait));
        self.open_until = if is_probe { wanted } else { wanted.max(waits) };
        if is_gone && self.state == TargetState::Active {
            self.state = TargetState::Disabled.into();
        }
        self.updated_at = Some(at);
        self
    }
}

/// What a failed attempt says about its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TargetFailure {
    pub(crate) is_probe: bool,
    /// It answered 410.
    pub(crate) is_gone: bool,
    /// Its own wish.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) at: DateTime<Utc>,
}

fn each(rate_per_sec: f64) -> TimeDelta {
    TimeDelta::microseconds((1e6 / rate_per_sec).clamp(1.0, 1e12) as i64)
}

fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BREAKER: BreakerPolicy = BreakerPolicy {
        failures_max: 3,
        wait_min: Duration::from_secs(10),
        wait_max: Duration::from_secs(60),
    };

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_795_464_147_000 + ms).unwrap()
    }

    fn fail(health: TargetHealth, is_probe: bool, ms: i64) -> TargetHealth {
        let failure = TargetFailure { is_probe, is_gone: false, retry_after: None, at: at(ms) };
        health.after_failure(failure, BREAKER)
    }

    fn request(urgent: bool, rate_per_sec: f64) -> LeaseRequest {
        LeaseRequest {
            target: "app".to_owned(),
            urgent,
            limit: 100,
            rate_per_sec,
            owner: "a".to_owned(),
            lease_for: Duration::from_secs(30),
            breaker: BREAKER,
        }
    }

    fn allowance(health: &TargetHealth, rate_per_sec: f64, ms: i64) -> Allowance {
        health.allowance(&request(false, rate_per_sec), at(ms))
    }

    #[test]
    fn a_rate_holds_over_any_stretch_of_time() {
        for rate in [0.5, 1.0, 3.0, 30.0, 1000.0] {
            let mut health = TargetHealth::new("app");
            let mut sent = 0;
            for step in 0..1000 {
                if let Allowance::UpTo(count) = allowance(&health, rate, step * 10) {
                    sent += count;
                    health = health.taken(count, rate, at(step * 10));
                }
            }
            let most = (10.0 * rate).ceil() + (0.2 * rate).max(1.0).ceil();
            assert!(f64::from(sent) <= most && f64::from(sent) >= (9.9 * rate).floor(), "{rate}: {sent}");
        }
    }

    #[test]
    fn when_the_rate_is_used_up_it_says_how_long_to_wait() {
        let health = TargetHealth::new("app").taken(1, 2.0, at(0));
        let Allowance::NotBefore(until) = allowance(&health, 2.0, 0) else { panic!("it is used up") };
        assert_eq!(until, at(500));
        assert_eq!(allowance(&health, 2.0, 500), Allowance::UpTo(1));
    }

    #[test]
    fn urgent_ones_may_use_a_whole_second() {
        let health = TargetHealth::new("app").taken(2, 10.0, at(0));
        assert!(matches!(allowance(&health, 10.0, 0), Allowance::NotBefore(_)));
        assert_eq!(health.allowance(&request(true, 10.0), at(0)), Allowance::UpTo(8));
    }

    #[test]
    fn a_target_that_fails_is_left_alone_for_longer_and_longer() {
        let mut health = TargetHealth::new("app");
        for _ in 0..2 {
            health = fail(health, false, 0);
            assert!(matches!(allowance(&health, 10.0, 0), Allowance::UpTo(_)));
        }
        let mut now = 0;
        for secs in [10, 20, 40, 60, 60] {
            health = fail(health, true, now);
            assert_eq!(allowance(&health, 10.0, now), Allowance::NotBefore(at(now + secs * 1000)));
            now += secs * 1000;
            assert_eq!(allowance(&health, 10.0, now), Allowance::Probe);
            health = health.probing(Duration::from_secs(30), at(now));
            assert!(matches!(allowance(&health, 10.0, now), Allowance::NotBefore(_)), "one is enough");
        }
        health = health.after_success(at(now));
        assert!(matches!(allowance(&health, 10.0, now), Allowance::UpTo(_)));
    }

    #[test]
    fn many_attempts_that_fail_at_once_are_one_reason_to_wait() {
        let mut health = TargetHealth::new("app");
        for _ in 0..50 {
            health = fail(health, false, 0);
        }
        assert_eq!((health.failures_in_row, health.open_until), (3, Some(at(10_000))));
    }

    #[test]
    fn a_target_that_says_when_is_believed() {
        let failure = TargetFailure {
            is_probe: false,
            is_gone: false,
            retry_after: Some(Duration::from_secs(90)),
            at: at(0),
        };
        let health = TargetHealth::new("app").after_failure(failure, BREAKER);
        assert_eq!(allowance(&health, 10.0, 0), Allowance::NotBefore(at(90_000)));
        assert!(matches!(allowance(&health, 10.0, 90_000), Allowance::UpTo(_)));
    }

    #[test]
    fn gone_and_paused_are_for_a_person_to_end() {
        let failure = TargetFailure { is_probe: false, is_gone: true, retry_after: None, at: at(0) };
        let gone = TargetHealth::new("app").after_failure(failure, BREAKER);
        assert_eq!(allowance(&gone, 10.0, 1_000_000_000), Allowance::Stopped);
        let paused = TargetHealth { state: TargetState::Paused.into(), ..TargetHealth::new("app") };
        assert_eq!(paused.after_failure(failure, BREAKER).state, TargetState::Paused);
    }
}
