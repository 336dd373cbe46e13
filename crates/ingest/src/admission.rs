//! Whether events are accepted at all: not before Redis is known to keep them, and not while it is nearly full. So a full
//! Redis has memory left for the commands by which workers empty it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use queue::MemoryLevel;

const UNCHECKED: u8 = 0;
const OPEN: u8 = 1;
const NEARLY_FULL: u8 = 2;

/// Why no event is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitting {
    #[error("Redis has not been checked yet: it cannot be reached, or is not ready")]
    Unchecked,
    #[error("Redis is nearly full")]
    NearlyFull,
}

/// Shared by all requests; asking it costs one atomic load.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdmissionGate(Arc<AtomicU8>);

impl AdmissionGate {
    pub(crate) fn admit(&self) -> Result<(), NotAdmitting> {
        match self.0.load(Ordering::Relaxed) {
            UNCHECKED => Err(NotAdmitting::Unchecked),
            NEARLY_FULL => Err(NotAdmitting::NearlyFull),
            _ => Ok(()),
        }
    }

    /// Redis is known to keep events.
    pub(crate) fn open(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }

    /// Closes the gate when this share of `maxmemory` is too much, and opens it when it is not.
    pub(crate) fn set_memory_share(&self, share: f64) {
        let now = if MemoryLevel::of(share) == MemoryLevel::NearlyFull { NEARLY_FULL } else { OPEN };
        if self.0.swap(now, Ordering::Relaxed) == now {
            return;
        }
        let used_percent = (share * 100.0).round();
        if now == NEARLY_FULL {
            tracing::error!(
                used_percent,
                "Redis is nearly full: webhooks are answered 503 until memory is free again"
            );
        } else {
            tracing::info!(used_percent, "Redis has memory again: webhooks are accepted");
        }
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
