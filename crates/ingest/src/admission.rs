//! Decides whether events are accepted: only after the preflight check of Redis, and not while Redis is nearly full,
//! because workers need memory for the commands that empty it. Also tracks readiness: failed enqueues end it, and a
//! test run of the enqueue script on a separate key (`redis_watch.rs`) restores it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use queue::MemoryLevel;

/// Why no events are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitting {
    #[error("Redis has not passed the preflight check yet: it is unreachable or not ready")]
    Unchecked,
    #[error("Redis is nearly full")]
    NearlyFull,
}

#[derive(Debug, Clone)]
pub(crate) struct AdmissionGate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    admission: Result<(), NotAdmitting>,
    /// The result of the last enqueue; `None` before the first one.
    enqueuing: Option<Result<(), String>>,
}

impl Default for AdmissionGate {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { admission: Err(NotAdmitting::Unchecked), enqueuing: None })))
    }
}

impl AdmissionGate {
    pub(crate) fn admit(&self) -> Result<(), NotAdmitting> {
        self.state().admission
    }

    /// Opens the gate: Redis has passed the preflight check.
    pub(crate) fn open(&self) {
        self.state().admission = Ok(());
    }

    /// Closes the gate while the used share of `maxmemory` is too high, and opens it otherwise.
    pub(crate) fn set_memory_share(&self, share: f64) {
        let is_nearly_full = MemoryLevel::of(share) == MemoryLevel::NearlyFull;
        let admission = if is_nearly_full { Err(NotAdmitting::NearlyFull) } else { Ok(()) };
        if std::mem::replace(&mut self.state().admission, admission) == admission {
            return;
        }
        let used_percent = (share * 100.0).round();
        if is_nearly_full {
            tracing::error!(used_percent, "Redis is nearly full: rejecting webhooks with 503");
        } else {
            tracing::info!(used_percent, "Redis has free memory again: accepting webhooks");
        }
    }

    /// Records that the enqueue script succeeded, or that an enqueue failed for a reason that affects all events. Logs
    /// changes only: every webhook rejected with 503 is logged as well.
    pub(crate) fn record_enqueue(&self, result: Result<(), String>) {
        let before = self.state().enqueuing.replace(result.clone());
        match (before, result) {
            (Some(Ok(())), Ok(())) | (Some(Err(_)), Err(_)) => {}
            (_, Ok(())) => tracing::info!("queue is ready"),
            (_, Err(error)) => tracing::error!(error, "queue is not ready: rejecting webhooks with 503"),
        }
    }

    /// The reason when `/readyz` is not 200.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let state = self.state();
        state.admission.map_err(|error| error.to_string())?;
        state.enqueuing.clone().unwrap_or_else(|| Err("the queue has not been checked yet".to_owned()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NotAdmitting {
    /// The reason, for metrics and logs.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Unchecked => "redis_unchecked",
            Self::NearlyFull => "redis_nearly_full",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_the_check_and_closes_while_memory_is_short() {
        let gate = AdmissionGate::default();
        assert_eq!(gate.admit(), Err(NotAdmitting::Unchecked));
        gate.open();
        for (share, admits) in [(0.1, true), (0.849, true), (0.85, false), (1.2, false), (0.84, true)] {
            gate.set_memory_share(share);
            assert_eq!(gate.admit().is_ok(), admits, "{share}");
        }
    }
}
