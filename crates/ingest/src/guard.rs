//! Whether events may be taken in at all: not before Redis is known to keep them, and not while it is nearly full. So a
//! full Redis has room left for what workers need to empty it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use queue::{Producer, QueueReader, UnfitServer};
use service::telemetry::chain;
use tokio_util::sync::CancellationToken;

use crate::groups;

/// Of `maxmemory`. The rest is for leases, retries and dead letters of what is already in.
const USED_SHARE_MAX: f64 = 0.85;
const LOOK_EVERY: Duration = Duration::from_secs(1);

const UNCHECKED: u8 = 0;
const OPEN: u8 = 1;
const NEARLY_FULL: u8 = 2;

/// Why no event is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Closed {
    #[error("Redis has not been checked yet: it cannot be reached, or is not ready")]
    Unchecked,
    #[error("Redis is nearly full")]
    NearlyFull,
}

/// Shared by all requests; asking it costs nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Arc<AtomicU8>);

impl Guard {
    pub(crate) fn pass(&self) -> Result<(), Closed> {
        match self.0.load(Ordering::Relaxed) {
            UNCHECKED => Err(Closed::Unchecked),
            NEARLY_FULL => Err(Closed::NearlyFull),
            _ => Ok(()),
        }
    }

    /// Redis is known to keep what it is given.
    pub(crate) fn open(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }

    fn memory_used(&self, share: f64) {
        let now = if share >= USED_SHARE_MAX { NEARLY_FULL } else { OPEN };
        if self.0.swap(now, Ordering::Relaxed) == now {
            return;
        }
        let used_percent = (share * 100.0).round();
        if now == NEARLY_FULL {
            tracing::error!(
                used_percent,
                "Redis is nearly full: webhooks are answered 503 until workers have made room"
            );
        } else {
            tracing::info!(used_percent, "Redis has room again: webhooks are taken in");
        }
    }
}

impl Closed {
    /// All that [`Closed::label`] can be.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Unchecked => "redis_unchecked",
            Self::NearlyFull => "redis_nearly_full",
        }
    }
}

/// Watches Redis until `stop`: checks it when it comes, creates the groups, then looks at its memory.
///
/// # Errors
/// [`UnfitServer`] when Redis came and would lose events.
pub(crate) async fn watch(
    guard: Guard,
    reader: QueueReader,
    producer: Producer,
    allow_volatile: bool,
    stop: CancellationToken,
) -> Result<(), UnfitServer> {
    let watching = async {
        if guard.pass().is_err() {
            reader.until_fit(allow_volatile).await?;
            guard.open();
        }
        groups::create(&producer).await;
        loop {
            match reader.memory_used().await {
                Ok(share) => guard.memory_used(share.unwrap_or(0.0)),
                // What Redis does not take is answered 503 anyway.
                Err(error) => tracing::debug!(error = chain(&error), "could not ask Redis for its memory"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    stop.run_until_cancelled(watching).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_the_check_and_closes_while_memory_is_short() {
        let guard = Guard::default();
        assert_eq!(guard.pass(), Err(Closed::Unchecked));
        guard.open();
        for (share, passes) in [(0.1, true), (0.849, true), (0.85, false), (1.2, false), (0.84, true)] {
            guard.memory_used(share);
            assert_eq!(guard.pass().is_ok(), passes, "{share}");
        }
    }
}
