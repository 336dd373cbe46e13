//! Whether this worker can do its work, judged by its latest claims and writes. When nothing was written recently, or
//! the last write failed, it tests a write itself, so that it also notices a recovery.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use error_text::chain;
use store::{Store, StoreError, WriteFault};
use tokio_util::sync::CancellationToken;
use webhook::Family;

use crate::metrics::Metrics;

const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// After a real write, no test is needed for this long.
const WRITE_VALID_FOR: Duration = Duration::from_secs(15);
/// A write that takes longer counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(25);
/// Size of the test write; and after a failure, when a small row may succeed where an event's row does not.
const PROBE_BYTES: usize = 256;
const RECOVERY_PROBE_BYTES: usize = 256 << 10;

/// Shared by all loops of a worker.
pub(crate) struct Readiness {
    state: Mutex<State>,
    metrics: Metrics,
}

struct State {
    /// Why each family cannot be claimed from; `None` when it can.
    claims: BTreeMap<Family, Option<String>>,
    /// Why the database cannot be written.
    database: Option<String>,
    wrote_at: Option<Instant>,
}

impl Readiness {
    /// Not ready before each family has been claimed from.
    pub(crate) fn new(families: &[Family], metrics: Metrics) -> Self {
        let waiting = |family: &Family| (*family, Some("waiting for Redis".to_owned()));
        let claims = families.iter().map(waiting).collect();
        Self { state: Mutex::new(State { claims, database: None, wrote_at: None }), metrics }
    }

    /// Returns the reason why this worker is not ready.
    pub(crate) fn check(&self) -> Result<(), String> {
        let state = self.lock();
        if let Some(error) = &state.database {
            return Err(format!("the database cannot be written: {error}"));
        }
        match state.claims.iter().find_map(|(family, fault)| fault.as_ref().map(|fault| (family, fault))) {
            Some((family, fault)) => Err(format!("events of family {family} cannot be claimed: {fault}")),
            None => Ok(()),
        }
    }

    /// Whether the latest write succeeded, as far as is known.
    pub(crate) fn database_is_up(&self) -> bool {
        self.lock().database.is_none()
    }

    /// Records the result of a family's latest claim.
    pub(crate) fn claimed(&self, family: Family, fault: Option<String>) {
        self.lock().claims.insert(family, fault);
    }

    /// An event was stored in the database.
    pub(crate) fn wrote(&self) {
        self.set_database_fault(None, WriteFault::Other);
    }

    /// A write failed.
    pub(crate) fn write_failed(&self, error: &str, fault: WriteFault) {
        self.set_database_fault(Some(error), fault);
    }

    /// Tests a write when there was none recently, until `shutdown`.
    pub(crate) async fn probe(&self, store: Store, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Some(bytes) = self.probe_bytes() {
                let Some(tried) = shutdown.run_until_cancelled(try_write(&store, bytes)).await else {
                    return;
                };
                match tried {
                    Ok(()) => self.wrote(),
                    Err((error, fault)) => self.write_failed(&error, fault),
                }
            }
            shutdown.run_until_cancelled(tokio::time::sleep(PROBE_INTERVAL)).await;
        }
    }

    fn probe_bytes(&self) -> Option<usize> {
        let state = self.lock();
        match (&state.database, state.wrote_at) {
            (Some(_), _) => Some(RECOVERY_PROBE_BYTES),
            (None, Some(at)) if at.elapsed() < WRITE_VALID_FOR => None,
            (None, _) => Some(PROBE_BYTES),
        }
    }

    fn set_database_fault(&self, error: Option<&str>, fault: WriteFault) {
        let before = {
            let mut state = self.lock();
            if error.is_none() {
                state.wrote_at = Some(Instant::now());
            }
            std::mem::replace(&mut state.database, error.map(str::to_owned))
        };
        self.metrics.database_up(error.is_none());
        match (before, error) {
            (None, Some(error)) => tracing::error!(
                error,
                hint = fault.hint(),
                "the database cannot be written: events wait, and this worker is not ready"
            ),
            (Some(_), None) => tracing::info!("the database can be written again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the lock is held")
    }
}

async fn try_write(store: &Store, bytes: usize) -> Result<(), (String, WriteFault)> {
    let write = async {
        // A ping fails sooner than a write when the server is down.
        store.ping().await?;
        store.check_write(bytes).await
    };
    match tokio::time::timeout(PROBE_TIMEOUT, write).await {
        Ok(tried) => tried.map_err(|error: StoreError| (chain(&error), error.write_fault())),
        Err(_elapsed) => {
            let error = format!("it took longer than {} s", PROBE_TIMEOUT.as_secs());
            Err((error, WriteFault::Unreachable))
        }
    }
}
