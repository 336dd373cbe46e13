//! The loop of one family: receives as many deliveries as it has free slots, runs each in its own task, and drains at
//! shutdown. Families share nothing, so a long batch download never delays a response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use error_text::chain;
use queue::{Cause, Consumer};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webhook::Family;

use crate::context::Context;
use crate::process::process;

/// Time for deliveries to finish at shutdown; the rest are released. Less than the ten seconds that `docker stop`
/// waits.
const DRAIN_MAX: Duration = Duration::from_secs(7);
/// Time to release deliveries in Redis. Without Redis, the worker must still exit and log what it leaves behind before
/// it is killed.
const RELEASE_MAX: Duration = Duration::from_millis(1500);
const REMOVE_MAX: Duration = Duration::from_secs(1);
const OUTAGE_DELAY_MAX: Duration = Duration::from_secs(5);
/// Interval at which a pause is checked, so that a pause ended manually is noticed.
const PAUSE_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// One family's share of a worker.
pub(crate) struct FamilyLoop {
    pub(crate) context: Arc<Context>,
    pub(crate) family: Family,
    pub(crate) consumer: Consumer,
    pub(crate) concurrency: usize,
}

impl FamilyLoop {
    /// Runs until `shutdown`, then finishes or releases its deliveries. Returns the number of deliveries for which
    /// neither was possible.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> usize {
        let left_behind = Arc::new(AtomicUsize::new(0));
        let slots = Arc::new(Semaphore::new(self.concurrency));
        let (tasks, release) = (TaskTracker::new(), CancellationToken::new());
        let (mut outage_delay, mut pause_logged) = (Duration::ZERO, false);
        while !shutdown.is_cancelled() {
            let slot = tokio::select! {
                () = shutdown.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never closed"),
            };
            let free = slots.available_permits() + 1;
            drop(slot);
            // Waits while a suspect runs alone. Held by all deliveries read now until they are settled.
            let permit = tokio::select! {
                () = shutdown.cancelled() => break,
                permit = self.context.permits.shared() => Arc::new(permit),
            };
            // Not cancelled by the shutdown: a cancelled read may already have received entries. It returns within two
            // seconds.
            let received = self.consumer.receive(free).await;
            for repair in self.consumer.take_repairs() {
                self.context.metrics.repaired(repair);
            }
            let deliveries = match received {
                Ok(deliveries) => deliveries,
                Err(error) => {
                    self.context.readiness.claimed(self.family, Some(chain(&error)));
                    outage_delay = self.back_off(&error, outage_delay, &shutdown).await;
                    continue;
                }
            };
            self.context.readiness.claimed(self.family, None);
            outage_delay = Duration::ZERO;
            if deliveries.is_empty()
                && let Some(left) = self.consumer.paused_for()
            {
                drop(permit);
                self.wait_out_pause(left, &mut pause_logged, &shutdown).await;
                continue;
            }
            pause_logged = false;
            for delivery in deliveries {
                let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
                let (context, family, permit, release) =
                    (Arc::clone(&self.context), self.family, Arc::clone(&permit), release.clone());
                let (left_behind, shutdown) = (Arc::clone(&left_behind), shutdown.clone());
                tasks.spawn(async move {
                    let is_settled = process(&context, family, delivery, (slot, permit), &release).await;
                    if !is_settled && shutdown.is_cancelled() {
                        left_behind.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }
        self.drain(tasks, release).await + left_behind.load(Ordering::Relaxed)
    }

    async fn wait_out_pause(&self, left: Duration, logged: &mut bool, shutdown: &CancellationToken) {
        if !std::mem::replace(logged, true) {
            tracing::info!(
                event.family = self.family.as_str(),
                paused_secs = left.as_secs_f64(),
                "family paused at OpenAI's request; receiving nothing until the pause ends"
            );
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(left.min(PAUSE_POLL_INTERVAL)) => {}
        }
    }

    async fn back_off(
        &self,
        error: &queue::QueueError,
        delay: Duration,
        shutdown: &CancellationToken,
    ) -> Duration {
        if delay.is_zero() {
            tracing::error!(
                event.family = self.family.as_str(),
                error = chain(error),
                hint = Cause::of(error).hint(),
                "cannot read the queue; retrying"
            );
        }
        let next = (delay * 2).clamp(Duration::from_millis(100), OUTAGE_DELAY_MAX);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(next.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
        }
        next
    }

    /// Returns the number of deliveries that still waited for Redis at the end.
    async fn drain(self, tasks: TaskTracker, release: CancellationToken) -> usize {
        tasks.close();
        if tokio::time::timeout(DRAIN_MAX, tasks.wait()).await.is_err() {
            tracing::info!(
                event.family = self.family.as_str(),
                deliveries = tasks.len(),
                "releasing deliveries that are still running"
            );
            release.cancel();
            tokio::time::timeout(RELEASE_MAX, tasks.wait()).await.ok();
        }
        tokio::time::timeout(REMOVE_MAX, self.consumer.remove()).await.ok();
        tasks.len()
    }
}
