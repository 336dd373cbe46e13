//! The shared health state of a target: whether workers may send to it, and at which rate. Pure functions on rows.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use webhook::{MaybeKnown, closed_set};

use crate::columns::columns;
use crate::notification::{BreakerPolicy, LeaseRequest};

closed_set! {
    /// The state of a target: the column `notification_targets.state`.
    pub enum TargetState {
        Active => "active",
        /// Paused by an operator, until `landfall targets resume`.
        Paused => "paused",
        /// The target answered 410 Gone; disabled until `landfall targets resume`.
        Disabled => "disabled",
    }
}

closed_set! {
    /// A target's state, where an active target may also be failing.
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
    /// Consecutive failures since the last success.
    pub failures_in_row: u32,
    /// The breaker is open until this time; then one probe tests whether the target has recovered.
    #[serde(rename = "waits_until")]
    pub open_until: Option<DateTime<Utc>>,
    /// The rate limit is exhausted until this time.
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

/// How much may be sent to a target now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Allowance {
    UpTo(u32),
    /// The breaker is half open: send one probe.
    Probe,
    NotBefore(DateTime<Utc>),
    /// Paused or disabled until an operator resumes the target.
    Stopped,
}

/// The share of a second's rate that may be sent at once; urgent notifications may use a whole second's.
const BURST: TimeDelta = TimeDelta::milliseconds(200);
const BURST_URGENT: TimeDelta = TimeDelta::seconds(1);

impl TargetHealth {
    /// The state of a target without any recorded attempt.
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
            // A state that only another version knows: send nothing, as if paused.
            Some(TargetState::Paused) | None => TargetCondition::Paused,
            Some(TargetState::Disabled) => TargetCondition::Disabled,
        }
    }

    /// Whether an attempt makes sense now: the target is active, and its breaker is closed.
    pub fn accepts(&self, breaker: BreakerPolicy, now: DateTime<Utc>) -> bool {
        self.state == TargetState::Active
            && self.open_until.is_none_or(|until| until <= now)
            && self.failures_in_row < breaker.failures_max
    }

    /// How many of the requested notifications may be sent now.
    pub(crate) fn allowance(&self, request: &LeaseRequest, now: DateTime<Utc>) -> Allowance {
        match self.state.known() {
            // Do not override a state that another version has set.
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
        // A rounding error must not turn 1 into 0.
        let count = (count + 1e-6).floor().clamp(0.0, f64::from(request.limit)) as u32;
        if count > 0 {
            Allowance::UpTo(count)
        } else {
            Allowance::NotBefore(rate_limited_until + each - burst)
        }
    }

    /// The state after `count` notifications were leased.
    pub(crate) fn taken(mut self, count: u32, rate_per_sec: f64, now: DateTime<Utc>) -> Self {
        let rate_limited_until = self.rate_limited_until.map_or(now, |until| until.max(now));
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        self.rate_limited_until = Some(rate_limited_until + each(rate_per_sec) * count);
        self.updated_at = Some(now);
        self
    }

    /// The state during a probe: no other worker sends. It ends on its own if the worker dies.
    pub(crate) fn probing(mut self, lease_for: Duration, now: DateTime<Utc>) -> Self {
        self.open_until = Some(later(now, lease_for));
        self.updated_at = Some(now);
        self
    }

    pub(crate) fn after_success(mut self, now: DateTime<Utc>) -> Self {
        (self.failures_in_row, self.open_until, self.updated_at) = (0, None, Some(now));
        self
    }

    /// The state after a failed attempt.
    pub(crate) fn after_failure(mut self, failure: TargetFailure, breaker: BreakerPolicy) -> Self {
        let TargetFailure { is_probe, is_gone, retry_after, at } = failure;
        let waits = self.open_until.filter(|until| *until > at);
        // Attempts already in flight when the breaker opened add no information.
        let is_relevant = is_probe || waits.is_none();
        self.failures_in_row = self.failures_in_row.saturating_add(u32::from(is_relevant));
        let over = self.failures_in_row.checked_sub(breaker.failures_max).filter(|_| is_relevant);
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

/// What a failed attempt reveals about its target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TargetFailure {
    pub(crate) is_probe: bool,
    /// The target answered 410 Gone.
    pub(crate) is_gone: bool,
    /// The target's `Retry-After`.
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
    fn the_rate_limit_holds_over_any_period() {
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
    fn a_used_up_rate_returns_the_time_to_wait() {
        let health = TargetHealth::new("app").taken(1, 2.0, at(0));
        let Allowance::NotBefore(until) = allowance(&health, 2.0, 0) else { panic!("the rate is used up") };
        assert_eq!(until, at(500));
        assert_eq!(allowance(&health, 2.0, 500), Allowance::UpTo(1));
    }

    #[test]
    fn urgent_notifications_may_use_a_whole_second() {
        let health = TargetHealth::new("app").taken(2, 10.0, at(0));
        assert!(matches!(allowance(&health, 10.0, 0), Allowance::NotBefore(_)));
        assert_eq!(health.allowance(&request(true, 10.0), at(0)), Allowance::UpTo(8));
    }

    #[test]
    fn the_breaker_of_a_failing_target_opens_for_longer_each_time() {
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
            assert!(matches!(allowance(&health, 10.0, now), Allowance::NotBefore(_)), "one probe is enough");
        }
        health = health.after_success(at(now));
        assert!(matches!(allowance(&health, 10.0, now), Allowance::UpTo(_)));
    }

    #[test]
    fn concurrent_failures_open_the_breaker_only_once() {
        let mut health = TargetHealth::new("app");
        for _ in 0..50 {
            health = fail(health, false, 0);
        }
        assert_eq!((health.failures_in_row, health.open_until), (3, Some(at(10_000))));
    }

    #[test]
    fn retry_after_of_a_target_is_honoured() {
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
    fn only_an_operator_resumes_a_gone_or_paused_target() {
        let failure = TargetFailure { is_probe: false, is_gone: true, retry_after: None, at: at(0) };
        let gone = TargetHealth::new("app").after_failure(failure, BREAKER);
        assert_eq!(allowance(&gone, 10.0, 1_000_000_000), Allowance::Stopped);
        let paused = TargetHealth { state: TargetState::Paused.into(), ..TargetHealth::new("app") };
        assert_eq!(paused.after_failure(failure, BREAKER).state, TargetState::Paused);
    }
}
