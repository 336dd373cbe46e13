//! Permits to run: shared by many deliveries, or exclusive to a suspect. An entry whose worker died twice under it must not
//! take others down a third time, and whether it is to blame only shows when nothing runs beside it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// What runs may finish first; after it, it is handed back. A long batch goes on from its line in another worker, or here.
const FINISH_MAX: Duration = Duration::from_secs(30);

/// Hands out the permits of one worker.
pub(crate) struct Permits {
    /// Fair: once an exclusive permit is waited for, no shared one is handed out.
    lock: Arc<RwLock<()>>,
    yield_to_exclusive: Mutex<CancellationToken>,
    finish_max: Duration,
}

/// What a delivery holds from before it runs until it is settled.
pub(crate) enum Permit {
    Shared(Arc<SharedPermit>),
    Exclusive {
        _permit: ExclusivePermit,
    },
    /// Given up while waiting for an exclusive one.
    None,
}

impl Permit {
    /// Ends when an exclusive permit has been waited for long enough: release what runs. Never for its own holder.
    pub(crate) async fn yield_to_exclusive(&self) {
        match self {
            Self::Shared(permit) => permit.yield_to_exclusive.cancelled().await,
            Self::Exclusive { .. } | Self::None => std::future::pending().await,
        }
    }
}

/// To run beside others. A loop takes one before it reads the queue, for all that it then reads.
pub(crate) struct SharedPermit {
    _guard: OwnedRwLockReadGuard<()>,
    yield_to_exclusive: CancellationToken,
}

/// To run alone.
pub(crate) struct ExclusivePermit {
    _guard: OwnedRwLockWriteGuard<()>,
}

impl Default for Permits {
    fn default() -> Self {
        Self { lock: Arc::default(), yield_to_exclusive: Mutex::default(), finish_max: FINISH_MAX }
    }
}

impl Permits {
    /// Waits while an exclusive permit is held, or waited for.
    pub(crate) async fn shared(&self) -> SharedPermit {
        let guard = Arc::clone(&self.lock).read_owned().await;
        SharedPermit { _guard: guard, yield_to_exclusive: self.token().clone() }
    }

    /// Waits until nothing else runs, for a bounded time. The caller must have given its own permit up.
    pub(crate) async fn exclusive(&self) -> ExclusivePermit {
        let mut guard = std::pin::pin!(Arc::clone(&self.lock).write_owned());
        tokio::select! {
            guard = &mut guard => return ExclusivePermit { _guard: guard },
            () = tokio::time::sleep(self.finish_max) => {}
        }
        // No new permit has this token: they all wait behind this one.
        std::mem::take(&mut *self.token()).cancel();
        ExclusivePermit { _guard: guard.await }
    }

    fn token(&self) -> std::sync::MutexGuard<'_, CancellationToken> {
        self.yield_to_exclusive.lock().expect("nothing panics while it holds it")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_suspect_waits_for_others_and_nobody_begins_beside_it() {
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
    async fn what_does_not_finish_in_time_makes_way_and_later_work_does_not() {
        let permits = Permits { finish_max: Duration::from_millis(20), ..Permits::default() };
        let running = permits.shared().await;
        let handed_back = async {
            running.yield_to_exclusive.cancelled().await;
            drop(running);
        };
        let (alone, ()) = tokio::join!(permits.exclusive(), handed_back);
        drop(alone);
        assert!(!permits.shared().await.yield_to_exclusive.is_cancelled());
    }
}
