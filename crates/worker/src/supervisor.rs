//! Ends a job early when its lease is lost, the worker stops, a suspect must run alone, the handler is stuck, or it
//! panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use error_text::chain;
use futures_util::FutureExt as _;
use queue::{Delivery, Settled};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use webhook::{Family, Reason};

use crate::failure::{Failure, HandlerError};
use crate::job::Job;
use crate::permits::{Permit, Permits, SharedPermit};
use crate::settlement::Settlement;
use crate::watchdog::{self, Timeouts};

/// After this many crashes the entry may be the cause: it runs alone, so that no other delivery is affected.
const CRASHES_SHARED_MAX: u32 = 2;
/// A response or an eval run needs a few requests; a handler that takes longer is stuck.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(600);
/// Files have no size limit, and a fine-tuning job may have many; each download has its own idle timeout.
const DOWNLOADS_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// A batch or job that receives no byte and stores no row for this long is stuck. Longer than the idle timeout of a
/// download, whose error is more specific.
const STALL_TIMEOUT: Duration = Duration::from_secs(300);

/// One of the deliveries that a family processes at the same time.
pub(crate) type Slot = OwnedSemaphorePermit;

/// Supervises one job, and holds its permit until it is settled.
pub(crate) struct Supervisor<'a> {
    slot: Option<Slot>,
    lease_lost: CancellationToken,
    /// Fires when a stopping worker can no longer wait.
    release: &'a CancellationToken,
    permit: Permit,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        delivery: &Delivery,
        (slot, permit): (Slot, Arc<SharedPermit>),
        release: &'a CancellationToken,
    ) -> Self {
        Self { slot: Some(slot), lease_lost: delivery.lease_lost(), release, permit: Permit::Shared(permit) }
    }

    /// The slot, for who frees it before the delivery is settled.
    pub(crate) fn take_slot(&mut self) -> Option<Slot> {
        self.slot.take()
    }

    /// Replaces the shared permit with an exclusive one when workers crashed during earlier attempts of the entry.
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
            "the entry has crashed its worker repeatedly; it runs alone now, and this worker receives nothing else meanwhile"
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
            // An uncounted crash could repeat forever.
            Err(error) => {
                tracing::warn!(error = chain(&error), "could not record that the entry runs alone");
                Err(Settlement::Release)
            }
        }
    }

    /// Runs one step of the job to completion, unless it must end early.
    pub(crate) async fn watch<T>(
        &self,
        job: &Job<'_>,
        step: impl Future<Output = Result<T, HandlerError>>,
    ) -> Result<T, Settlement> {
        let timeouts = if matches!(job.family(), Family::Batch | Family::FineTuning | Family::Agent) {
            Timeouts { total: DOWNLOADS_TIMEOUT, stall: STALL_TIMEOUT }
        } else {
            // A few requests, each with its own timeout; they do not report progress.
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
