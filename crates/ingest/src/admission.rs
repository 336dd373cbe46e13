//! Whether events are accepted: not before Redis is known to keep them, and not while it is nearly full, so that workers
//! have memory for the commands by which they empty it. And whether that works: failed enqueues decide it, and while they
//! fail, or before the first, the enqueue script on a key of its own (`redis_watch.rs`).

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use queue::MemoryLevel;

/// Why no event is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitting {
    #[error("Redis has not been checked yet: it cannot be reached, or is not ready")]
    Unchecked,
    #[error("Redis is nearly full")]
    NearlyFull,
}

/// Shared by all requests.
#[derive(Debug, Clone)]
pub(crate) struct AdmissionGate(Arc<RwLock<State>>);

#[derive(Debug)]
struct State {
    admission: Result<(), NotAdmitting>,
    enqueuing: Enqueuing,
}

#[derive(Debug)]
enum Enqueuing {
    Untried,
    Works,
    Fails { reason: String },
}

impl Default for AdmissionGate {
    fn default() -> Self {
        let state = State { admission: Err(NotAdmitting::Unchecked), enqueuing: Enqueuing::Untried };
        Self(Arc::new(RwLock::new(state)))
    }
}

impl AdmissionGate {
    pub(crate) fn admit(&self) -> Result<(), NotAdmitting> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).admission
    }

    /// Redis is known to keep events.
    pub(crate) fn open(&self) {
        self.write().admission = Ok(());
    }

    /// Closes the gate when this share of `maxmemory` is too much, and opens it when it is not.
    pub(crate) fn set_memory_share(&self, share: f64) {
        let is_nearly_full = MemoryLevel::of(share) == MemoryLevel::NearlyFull;
        let admission = if is_nearly_full { Err(NotAdmitting::NearlyFull) } else { Ok(()) };
        if std::mem::replace(&mut self.write().admission, admission) == admission {
            return;
        }
        let used_percent = (share * 100.0).round();
        if is_nearly_full {
            tracing::error!(
                used_percent,
                "Redis is nearly full: webhooks are answered 503 until memory is free again"
            );
        } else {
            tracing::info!(used_percent, "Redis has memory again: webhooks are accepted");
        }
    }

    /// The enqueue script has worked, or an enqueue failed for a reason that concerns all events. Logged when it changes:
    /// every webhook that is answered 503 is logged too.
    pub(crate) fn tried(&self, result: Result<(), String>) {
        let mut state = self.write();
        match (&state.enqueuing, result) {
            (Enqueuing::Works, Ok(())) => {}
            (Enqueuing::Untried | Enqueuing::Fails { .. }, Ok(())) => {
                tracing::info!("queue is ready");
                state.enqueuing = Enqueuing::Works;
            }
            (before, Err(reason)) => {
                if !matches!(before, Enqueuing::Fails { .. }) {
                    tracing::error!(error = reason, "queue is not ready: webhooks are answered 503");
                }
                state.enqueuing = Enqueuing::Fails { reason };
            }
        }
    }

    /// Why `/readyz` is not 200.
    pub(crate) fn ready(&self) -> Result<(), String> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.admission.map_err(|error| error.to_string())?;
        match &state.enqueuing {
            Enqueuing::Works => Ok(()),
            Enqueuing::Untried => Err("the queue has not been tried yet".to_owned()),
            Enqueuing::Fails { reason } => Err(reason.clone()),
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
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
