//! Permits to run: shared by many deliveries, or exclusive to a suspect. An entry that has crashed its worker twice
//! must not affect others a third time, and only a run alone shows whether it is the cause.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// Time for running deliveries to finish; after it they are released. A long batch resumes from its last line, in this
/// or another worker.
const FINISH_MAX: Duration = Duration::from_secs(30);

/// The permits of one worker.
pub(crate) struct Permits {
    /// Fair: once a task waits for an exclusive permit, no shared one is granted.
    lock: Arc<RwLock<()>>,
    yield_to_exclusive: Mutex<CancellationToken>,
    finish_max: Duration,
}

/// Held by a delivery from before it runs until it is settled.
pub(crate) enum Permit {
    Shared(Arc<SharedPermit>),
    Exclusive {
        _permit: ExclusivePermit,
    },
    /// Returned while waiting for an exclusive permit.
    None,
}

impl Permit {
    /// Completes when a task has waited long enough for an exclusive permit and the holder should release. Never
    /// completes for the holder of an exclusive permit.
    pub(crate) async fn yield_to_exclusive(&self) {
        match self {
            Self::Shared(permit) => permit.yield_to_exclusive.cancelled().await,
            Self::Exclusive { .. } | Self::None => std::future::pending().await,
        }
    }
}

/// A permit to run together with others. A loop acquires one before it reads the queue, for all deliveries it reads.
pub(crate) struct SharedPermit {
    _guard: OwnedRwLockReadGuard<()>,
    yield_to_exclusive: CancellationToken,
}

/// A permit to run alone.
pub(crate) struct ExclusivePermit {
    _guard: OwnedRwLockWriteGuard<()>,
}

impl Default for Permits {
    fn default() -> Self {
        Self { lock: Arc::default(), yield_to_exclusive: Mutex::default(), finish_max: FINISH_MAX }
    }
}

impl Permits {
    /// Waits while another task holds or waits for an exclusive permit.
    pub(crate) async fn shared(&self) -> SharedPermit {
        let guard = Arc::clone(&self.lock).read_owned().await;
        SharedPermit { _guard: guard, yield_to_exclusive: self.token().clone() }
    }

    /// Waits until nothing else runs, for a limited time. The caller must have dropped its own permit.
    pub(crate) async fn exclusive(&self) -> ExclusivePermit {
        let mut guard = std::pin::pin!(Arc::clone(&self.lock).write_owned());
        tokio::select! {
            guard = &mut guard => return ExclusivePermit { _guard: guard },
            () = tokio::time::sleep(self.finish_max) => {}
        }
        // New permits get another token: they all wait behind this one.
        std::mem::take(&mut *self.token()).cancel();
        ExclusivePermit { _guard: guard.await }
    }

    fn token(&self) -> std::sync::MutexGuard<'_, CancellationToken> {
        self.yield_to_exclusive.lock().expect("no panic while the lock is held")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_suspect_waits_for_others_and_no_other_starts_beside_it() {
        let permits = Permits::default();
        let (first, second) = (permits.shared().await, permits.shared().await);
        let mut alone = Box::pin(permits.exclusive());
        assert!((&mut alone).now_or_never().is_none());
        let mut late = Box::pin(permits.shared());
        drop(first);
        assert!((&mut late).now_or_never().is_none(), "it overtook the suspect");
        assert!((&mut alone).now_or_never().is_none(), "another one still runs");
        drop(second);
        let alone = alone.await;
        assert!((&mut late).now_or_never().is_none(), "it runs beside the suspect");
        drop(alone);
        assert!(!late.await.yield_to_exclusive.is_cancelled());
    }

    #[tokio::test]
    async fn deliveries_that_do_not_finish_in_time_yield_and_later_ones_do_not() {
        let permits = Permits { finish_max: Duration::from_millis(20), ..Permits::default() };
        let running = permits.shared().await;
        let released = async {
            running.yield_to_exclusive.cancelled().await;
            drop(running);
        };
        let (alone, ()) = tokio::join!(permits.exclusive(), released);
        drop(alone);
        assert!(!permits.shared().await.yield_to_exclusive.is_cancelled());
    }
}
