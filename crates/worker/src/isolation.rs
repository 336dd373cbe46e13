//! Runs a suspect alone: an entry whose worker died twice under it must not take others down a third time, and whether it
//! is to blame only shows when nothing runs beside it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

/// What runs may finish first; after it, it is handed back. A long batch goes on from its line in another worker, or here.
const FINISH_MAX: Duration = Duration::from_secs(30);

/// Who may run in this worker: many deliveries beside each other, or one alone.
pub(crate) struct Isolation {
    /// Fair: once somebody waits to run alone, nobody else begins.
    turns: Arc<RwLock<()>>,
    make_way: Mutex<CancellationToken>,
    finish_max: Duration,
}

/// The right to run beside others. A loop takes one before it reads the queue, for all that it then reads.
pub(crate) struct Beside {
    _turn: OwnedRwLockReadGuard<()>,
    make_way: CancellationToken,
}

impl Beside {
    /// Fires when a suspect has waited long enough: hand back what runs.
    pub(crate) fn make_way(&self) -> &CancellationToken {
        &self.make_way
    }
}

/// The right to run alone.
pub(crate) struct Alone {
    _turn: OwnedRwLockWriteGuard<()>,
}

impl Default for Isolation {
    fn default() -> Self {
        Self { turns: Arc::default(), make_way: Mutex::default(), finish_max: FINISH_MAX }
    }
}

impl Isolation {
    /// Waits while an entry runs alone, or waits to.
    pub(crate) async fn beside(&self) -> Beside {
        let turn = Arc::clone(&self.turns).read_owned().await;
        Beside { _turn: turn, make_way: self.lock().clone() }
    }

    /// Waits until nothing else runs, for a bounded time. The caller must have given its own place up.
    pub(crate) async fn alone(&self) -> Alone {
        let mut turn = std::pin::pin!(Arc::clone(&self.turns).write_owned());
        tokio::select! {
            turn = &mut turn => return Alone { _turn: turn },
            () = tokio::time::sleep(self.finish_max) => {}
        }
        // Nobody new holds it: they all wait behind this one.
        std::mem::take(&mut *self.lock()).cancel();
        Alone { _turn: turn.await }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CancellationToken> {
        self.make_way.lock().expect("nobody panics while holding it")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_suspect_waits_for_others_and_nobody_begins_beside_it() {
        let isolation = Isolation::default();
        let (first, second) = (isolation.beside().await, isolation.beside().await);
        let mut alone = Box::pin(isolation.alone());
        assert!((&mut alone).now_or_never().is_none());
        let mut late = Box::pin(isolation.beside());
        drop(first);
        assert!((&mut late).now_or_never().is_none(), "it overtook the suspect");
        assert!((&mut alone).now_or_never().is_none(), "another one still runs");
        drop(second);
        let alone = alone.await;
        assert!((&mut late).now_or_never().is_none(), "it runs beside the suspect");
        drop(alone);
        assert!(!late.await.make_way().is_cancelled());
    }

    #[tokio::test]
    async fn what_does_not_finish_in_time_makes_way_and_later_work_does_not() {
        let isolation = Isolation { finish_max: Duration::from_millis(20), ..Isolation::default() };
        let running = isolation.beside().await;
        let handed_back = async {
            running.make_way().cancelled().await;
            drop(running);
        };
        let (alone, ()) = tokio::join!(isolation.alone(), handed_back);
        drop(alone);
        assert!(!isolation.beside().await.make_way().is_cancelled());
    }
}
