//! Whether events are accepted: not before Redis is known to keep them, and not while it is nearly full, so that workers
//! have memory for the commands by which they empty it. And whether that works: failed enqueues decide it, and while they
//! fail, or before the first, the enqueue script on a key of its own (`redis_watch.rs`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use queue::MemoryLevel;

/// Why no event is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitting {
    #[error("Redis has not been checked yet: it cannot be reached, or is not ready")]
    Unchecked,
    #[error("Redis is nearly full")]
    NearlyFull,
}

#[derive(Debug, Clone)]
pub(crate) struct AdmissionGate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    admission: Result<(), NotAdmitting>,
    /// Whether an event could be enqueued, or why not; `None` before the first try.
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

    /// Redis is known to keep events.
    pub(crate) fn open(&self) {
        self.state().admission = Ok(());
    }

    /// Closes the gate when this share of `maxmemory` is too much, and opens it when it is not.
    pub(crate) fn set_memory_share(&self, share: f64) {
        let is_nearly_full = MemoryLevel::of(share) == MemoryLevel::NearlyFull;
        let admission = if is_nearly_full { Err(NotAdmitting::NearlyFull) } else { Ok(()) };
        if std::mem::replace(&mut self.state().admission, admission) == admission {
            return;
        }
        let used_percent = (share * 100.0).round();
        if is_nearly_full {
            tracing::error!(used_percent, "Redis is nearly full: webhooks are answered 503");
        } else {
            tracing::info!(used_percent, "Redis has memory again: webhooks are accepted");
        }
    }

    /// The enqueue script has worked, or an enqueue failed for a reason that concerns all events. Logged when it changes:
    /// every webhook that is answered 503 is logged too.
    pub(crate) fn tried(&self, result: Result<(), String>) {
        let before = self.state().enqueuing.replace(result.clone());
        match (before, result) {
            (Some(Ok(())), Ok(())) | (Some(Err(_)), Err(_)) => {}
            (_, Ok(())) => tracing::info!("queue is ready"),
            (_, Err(error)) => tracing::error!(error, "queue is not ready: webhooks are answered 503"),
        }
    }

    /// Why `/readyz` is not 200.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let state = self.state();
        state.admission.map_err(|error| error.to_string())?;
        state.enqueuing.clone().unwrap_or_else(|| Err("the queue has not been tried yet".to_owned()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NotAdmitting {
    /// The reason for metrics and logs.
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
