//! Publishes the backlog, its age, and the reasons of dead letters as metrics, and detects when the queue's whole state
//! has vanished.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use error_text::chain;
use notifier::Config;
use queue::{FamilyStats, QueueAdmin, QueueError, Repair, RepairKind};
use store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use webhook::Family;

use crate::metrics::Metrics;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// Dead letters are usually few; of many, only the newest are read.
const DEAD_LETTERS_MAX: usize = 1000;

/// Polls the queue.
pub(crate) struct Backlog {
    pub(crate) admin: QueueAdmin,
    pub(crate) store: Store,
    pub(crate) metrics: Metrics,
    /// The current targets.
    targets: watch::Receiver<Arc<Config>>,
    seen: Option<Snapshot>,
    /// Dead letters are only read when their number has changed.
    dead: HashMap<Family, u64>,
}

/// The state of the queue at the last poll.
struct Snapshot {
    /// A different generation means that all state was lost in between.
    generation: String,
    at: DateTime<Utc>,
    stats: Vec<FamilyStats>,
}

impl Backlog {
    pub(crate) fn new(
        admin: QueueAdmin,
        store: Store,
        metrics: Metrics,
        targets: watch::Receiver<Arc<Config>>,
    ) -> Self {
        Self { admin, store, metrics, targets, seen: None, dead: HashMap::new() }
    }

    /// Runs until `shutdown`.
    pub(crate) async fn publish(mut self, shutdown: CancellationToken) {
        loop {
            // The family loops log an outage.
            if let Err(error) = self.publish_once().await {
                tracing::debug!(error = chain(&error), "could not read the backlog");
                self.metrics.queue.clear();
                self.metrics.redis.lost();
                self.dead.clear();
            }
            if let Err(error) = self.publish_outbox().await {
                tracing::debug!(error = chain(&error), "could not read the outbox");
                self.metrics.outbox_lost();
            }
            if let Ok(Some(bytes)) = self.store.files().free_bytes().await {
                self.metrics.files_free(bytes);
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
        }
    }

    async fn publish_once(&mut self) -> Result<(), QueueError> {
        let generation = self.admin.queue_generation().await?;
        let stats = self.admin.stats().await?;
        if let Some(before) = self.seen.take_if(|seen| seen.generation != generation) {
            self.vanished(&before);
        }
        for family in &stats {
            self.metrics.queue.family(family);
            if self.dead.insert(family.family, family.dead) != Some(family.dead) {
                let letters = self.admin.dead_letters(family.family, DEAD_LETTERS_MAX).await?;
                self.metrics.queue.dead_letters(family.family, &letters);
            }
        }
        self.seen = Some(Snapshot { generation, at: Utc::now(), stats });
        self.metrics.queue.pauses(&self.admin.pauses().await?);
        Ok(())
    }

    async fn publish_outbox(&self) -> Result<(), StoreError> {
        let pending = self.store.pending_notifications().await?;
        let health = self.store.target_health().await?;
        let config = Arc::clone(&self.targets.borrow());
        let names = || config.targets.iter().map(|target| target.name.as_str());
        self.metrics.notifications_pending(names(), &pending);
        self.metrics.target_states(names(), &health);
        Ok(())
    }

    /// Logs that the queue's state is lost; only an operator can know why.
    fn vanished(&self, before: &Snapshot) {
        self.metrics.repaired(Repair { kind: RepairKind::QueueVanished, count: 1 });
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let sum = |count: fn(&FamilyStats) -> u64| before.stats.iter().map(count).sum::<u64>();
        let by_family = before.stats.iter().filter(|stats| stats.backlog() + stats.dead > 0);
        let by_family: Vec<String> = by_family
            .map(|stats| format!("{}: {} queued, {} dead", stats.family, stats.backlog(), stats.dead))
            .collect();
        tracing::error!(
            repair = RepairKind::QueueVanished.as_str(),
            last_seen_at = time(before.at),
            noticed_at = time(Utc::now()),
            backlog = sum(FamilyStats::backlog),
            dead = sum(|stats| stats.dead),
            families = by_family.join("; "),
            "the queue's whole state has vanished from Redis (FLUSHALL, or a Redis without its data); new events are \
             still processed"
        );
    }
}
