//! Aborts stuck handlers, whose heartbeat would otherwise hold the lease forever. Handlers that make progress may run
//! long.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// Shorter than any stall.
const WAITING_STEP: Duration = Duration::from_secs(30);

/// The progress that one attempt reports while it runs.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    steps: AtomicU64,
    rows: AtomicU64,
    file_expires_at: OnceLock<DateTime<Utc>>,
}

impl Progress {
    /// Records progress: bytes were received, or rows stored.
    pub(crate) fn step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a local resource, such as memory, without counting as stalled.
    pub(crate) async fn waiting<T>(&self, wait: impl Future<Output = T>) -> T {
        let mut wait = pin!(wait);
        loop {
            if let Ok(done) = tokio::time::timeout(WAITING_STEP, &mut wait).await {
                return done;
            }
            self.step();
        }
    }

    /// Records that this many more rows were stored.
    pub(crate) fn stored(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.step();
    }

    /// The number of rows that this attempt has stored.
    pub(crate) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Records when OpenAI deletes the file that is being read; the first call wins.
    pub(crate) fn file_expires(&self, at: Option<DateTime<Utc>>) {
        if let Some(at) = at {
            self.file_expires_at.get_or_init(|| at);
        }
    }

    pub(crate) fn file_expires_ms(&self) -> Option<i64> {
        self.file_expires_at.get().map(DateTime::timestamp_millis)
    }
}

/// The time limits of a handler.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// In total.
    pub(crate) total: Duration,
    /// Without progress.
    pub(crate) stall: Duration,
}

/// Why a handler was aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stuck {
    #[error("the handler did not finish within {0:?}")]
    TooLong(Duration),
    #[error("the handler received no byte and stored no row for {0:?}")]
    Stalled(Duration),
}

/// Runs `work` to completion, unless it takes too long or stalls.
pub(crate) async fn watch<T>(
    timeouts: Timeouts,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> Result<T, Stuck> {
    let stall = async {
        let mut seen = progress.steps.load(Ordering::Relaxed);
        loop {
            tokio::time::sleep(timeouts.stall).await;
            let now = progress.steps.load(Ordering::Relaxed);
            if now == seen {
                return;
            }
            seen = now;
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = tokio::time::sleep(timeouts.total) => Err(Stuck::TooLong(timeouts.total)),
        () = stall => Err(Stuck::Stalled(timeouts.stall)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(600);

    #[tokio::test]
    async fn a_stalled_handler_is_aborted() {
        let timeouts = Timeouts { total: LONG, stall: SHORT };
        let ended = watch(timeouts, &Progress::default(), std::future::pending::<()>()).await;
        assert_eq!(ended, Err(Stuck::Stalled(SHORT)));
    }

    #[tokio::test]
    async fn a_handler_with_progress_may_outlast_a_stall_timeout_but_not_run_forever() {
        let progress = Progress::default();
        let moving = async || {
            let mut beat = tokio::time::interval(SHORT / 8);
            loop {
                beat.tick().await;
                progress.step();
            }
        };
        let timeouts = Timeouts { total: SHORT * 5, stall: SHORT };
        let ended: Result<(), Stuck> = watch(timeouts, &progress, moving()).await;
        assert_eq!(ended, Err(Stuck::TooLong(SHORT * 5)));
    }

    #[tokio::test]
    async fn a_handler_that_ends_in_time_is_not_aborted() {
        let timeouts = Timeouts { total: LONG, stall: LONG };
        assert_eq!(watch(timeouts, &Progress::default(), async { 7 }).await, Ok(7));
    }

    #[test]
    fn the_first_file_that_expires_counts() {
        let progress = Progress::default();
        progress.file_expires(None);
        assert_eq!(progress.file_expires_ms(), None);
        for secs in [5, 7] {
            progress.file_expires(DateTime::from_timestamp(secs, 0));
        }
        assert_eq!(progress.file_expires_ms(), Some(5000));
    }
}
