//! What may end a job early: its lease is lost, the worker stops, a suspect waits to run alone, it is stuck, it panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use queue::{Delivery, Settled};
use service::telemetry::chain;
use tokio_util::sync::CancellationToken;
use webhook::{Family, Reason};

use crate::failure::{Failure, HandlerError};
use crate::job::Job;
use crate::permits::{Permit, Permits, SharedPermit};
use crate::settlement::Settlement;
use crate::watchdog::{self, Timeouts};

/// After so many crashes it may be the entry that takes its worker down: it runs alone, so that no neighbour is hit.
const CRASHES_SHARED_MAX: u32 = 2;
/// A response or an eval run is a few requests; a handler that takes longer is stuck.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(600);
/// Files have no upper size, and a fine-tuning job may have many; their downloads have an idle time-out of their own.
const DOWNLOADS_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// A batch or job for which no byte comes and no row is stored for so long is stuck. Longer than the idle time-out of a
/// download, which tells more.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);

/// Watches over one job, and holds its permit until it is settled.
pub(crate) struct Supervisor<'a> {
    lease_lost: CancellationToken,
    /// Fires when a stopping worker can wait no longer.
    release: &'a CancellationToken,
    permit: Permit,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        delivery: &Delivery,
        permit: Arc<SharedPermit>,
        release: &'a CancellationToken,
    ) -> Self {
        Self { lease_lost: delivery.lease_lost(), release, permit: Permit::Shared(permit) }
    }

    /// An entry under whose earlier attempts workers died gets an exclusive permit instead of its shared one.
    pub(crate) async fn isolate_suspect(
        &mut self,
        permits: &Permits,
        delivery: &Delivery,
    ) -> Result<(), Settlement> {
        if delivery.crashes < CRASHES_SHARED_MAX {
            return Ok(());
        }
        tracing::warn!(
            delivery.entry = delivery.entry_id,
            crashes = delivery.crashes,
            crashes_alone = delivery.crashes_alone,
            "its worker died under it again and again: it runs alone, this worker takes nothing else meanwhile"
        );
        self.permit = Permit::None;
        self.permit = tokio::select! {
            biased;
            () = self.lease_lost.cancelled() => return Err(Settlement::LeaseLost),
            () = self.release.cancelled() => return Err(Settlement::Release),
            permit = permits.exclusive() => Permit::Exclusive { _permit: permit },
        };
        match delivery.begin_alone().await {
            Ok(Settled::Done) => Ok(()),
            Ok(Settled::LeaseLost) => Err(Settlement::LeaseLost),
            // A crash that is not counted could repeat for ever.
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot note that an entry runs alone");
                Err(Settlement::Release)
            }
        }
    }

    /// Runs one step of the job to its end, unless something ends it early.
    pub(crate) async fn watch<T>(
        &self,
        job: &Job<'_>,
        step: impl Future<Output = Result<T, HandlerError>>,
    ) -> Result<T, Settlement> {
        let timeouts = if matches!(job.family(), Family::Batch | Family::FineTuning) {
            Timeouts { total: DOWNLOADS_TIMEOUT, stall: STALL_TIMEOUT }
        } else {
            // A few requests, each with a time-out of its own: they need not report progress.
            Timeouts { total: HANDLER_TIMEOUT, stall: HANDLER_TIMEOUT }
        };
        let watched = AssertUnwindSafe(watchdog::watch(timeouts, &job.progress, step)).catch_unwind();
        let failure = tokio::select! {
            biased;
            () = self.lease_lost.cancelled() => return Err(Settlement::LeaseLost),
            () = self.release.cancelled() => return Err(Settlement::Release),
            () = self.permit.yield_to_exclusive() => return Err(Settlement::Release),
            ended = watched => match ended {
                Ok(Ok(Ok(done))) => return Ok(done),
                Ok(Ok(Err(error))) => error.into(),
                Ok(Err(stuck)) => Failure::retryable(Reason::TimedOut, stuck.to_string()),
                Err(_panic) => Failure::retryable(Reason::HandlerPanicked, "the handler panicked".to_owned()),
            },
        };
        Err(Settlement::Fail(failure))
    }
}
