//! Waits for a condition with a deadline: the only way a test waits for another process.

use std::time::{Duration, Instant};

/// Timeout of a condition. Generous, because machines that run tests are busy.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Polls `condition` until it returns a value.
///
/// # Panics
/// After [`DEADLINE`], with the name of the condition.
pub async fn until<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "timed out after {DEADLINE:?} waiting for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The same for tests without a runtime.
///
/// # Panics
/// After [`DEADLINE`], with the name of the condition.
pub fn until_blocking<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "timed out after {DEADLINE:?} waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
