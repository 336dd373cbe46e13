//! One target's way out: takes what is due, sends several at a time, waits for more. Each target has two lanes, so that
//! what a call waits for never stands behind the rest.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use notifier::Target;
use service::telemetry::chain;
use store::{LeaseRequest, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::notifications::attempt::{Held, Sender};

/// Attempts of one lane at once in one worker.
const CONCURRENCY: u32 = 8;
/// What other workers wrote is noticed so soon.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const OUTAGE_DELAY: Duration = Duration::from_secs(2);
/// A stream's write has a time-out of its own, far below.
const STREAM_TIMEOUT: Duration = Duration::from_secs(15);
/// What a stopping worker still finishes; the rest is handed back. Below the ten seconds that `docker stop` waits.
const DRAIN_MAX: Duration = Duration::from_secs(7);

/// The urgent or the other notifications of one target.
pub(crate) struct Lane {
    pub(crate) sender: Sender,
    pub(crate) target: Arc<Target>,
    pub(crate) urgent: bool,
    /// Unique to this lane of this worker.
    pub(crate) owner: String,
}

/// What may be done now.
struct Step {
    held: Vec<Held>,
    next_at: Option<DateTime<Utc>>,
}

impl Lane {
    /// Runs until `shutdown`, then finishes or hands back what it holds.
    pub(crate) async fn run(self, mut written: watch::Receiver<()>, shutdown: CancellationToken) {
        let mut running = JoinSet::new();
        let mut is_well = true;
        while !shutdown.is_cancelled() {
            written.mark_unchanged();
            let free = CONCURRENCY - u32::try_from(running.len()).unwrap_or(CONCURRENCY);
            let mut wait = LOOK_EVERY;
            if free > 0 {
                match self.take(free).await {
                    Ok(step) => {
                        is_well = true;
                        wait = self.until(step.next_at);
                        let any = !step.held.is_empty();
                        for held in step.held {
                            let sender = self.sender.clone();
                            running.spawn(async move { sender.attempt(held).await });
                        }
                        if any {
                            continue;
                        }
                    }
                    Err(error) => {
                        self.report(&error, std::mem::replace(&mut is_well, false));
                        wait = OUTAGE_DELAY;
                    }
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                Some(_ended) = running.join_next() => {}
                // The sender lives as long as the worker's handlers.
                Ok(()) = written.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.drain(running).await;
    }

    /// Takes up to `limit` that are due.
    async fn take(&self, limit: u32) -> Result<Step, StoreError> {
        let timeout = self.target.destination.http().map_or(STREAM_TIMEOUT, |place| place.timeout);
        let request = LeaseRequest {
            target: self.target.name.clone(),
            urgent: self.urgent,
            limit,
            rate_per_sec: self.target.rate_per_sec,
            owner: self.owner.clone(),
            lease_for: timeout + self.sender.timing.lease_margin,
            breaker: self.sender.timing.breaker,
        };
        let leased = self.sender.store.lease_notifications(&request, self.sender.timing.now()).await?;
        let is_trial = leased.is_trial;
        let held = leased.notifications.into_iter();
        let held = held.map(|record| Held { record, owner: self.owner.clone(), is_trial }).collect();
        Ok(Step { held, next_at: leased.next_at })
    }

    fn until(&self, next_at: Option<DateTime<Utc>>) -> Duration {
        let left = next_at.map(|at| (at - self.sender.timing.now()).to_std().unwrap_or_default());
        left.map_or(LOOK_EVERY, |left| left.clamp(Duration::from_millis(1), LOOK_EVERY))
    }

    fn report(&self, error: &StoreError, is_first: bool) {
        if is_first {
            tracing::error!(
                notification.target = self.target.name,
                error = chain(error),
                "cannot read the outbox; trying again"
            );
        }
    }

    async fn drain(&self, mut running: JoinSet<()>) {
        let ended = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_MAX, ended).await.is_ok() {
            return;
        }
        tracing::info!(
            notification.target = self.target.name,
            attempts = running.len(),
            "handing notifications back that are still being sent"
        );
        running.shutdown().await;
        if let Err(error) = self.sender.store.hand_back_notifications(&self.owner).await {
            tracing::warn!(
                error = chain(&error),
                "could not hand notifications back: they are sent again when their lease has run out"
            );
        }
    }

    /// Sends all that is due now, one take after the other, to its end. When there may be more.
    #[cfg(test)]
    pub(crate) async fn send_due(&self) -> (usize, Option<DateTime<Utc>>) {
        let mut sent = 0;
        loop {
            let step = self.take(CONCURRENCY).await.unwrap();
            if step.held.is_empty() {
                return (sent, step.next_at);
            }
            sent += step.held.len();
            let attempts = step.held.into_iter().map(|held| self.sender.attempt(held));
            futures_util::future::join_all(attempts).await;
        }
    }
}
