//! Publishes the presence of this ingest in Redis, and the metrics about Redis and the other programs.

use queue::{Presence, PresenceSnapshot, QueueAdmin, QueueError};
use service::metrics::RedisMetrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The task that publishes the presence.
#[derive(Debug)]
pub(crate) struct PresenceTask {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl PresenceTask {
    pub(crate) fn start(reader: QueueAdmin, metrics: RedisMetrics) -> Self {
        let stop = CancellationToken::new();
        let presence = Presence::new(reader, queue::consumer_name(), "ingest", env!("CARGO_PKG_VERSION"));
        let publish = move |seen: Result<PresenceSnapshot, QueueError>| match seen {
            Ok(seen) => metrics.reached(seen.faults(), seen.alive()),
            Err(_) => metrics.lost(),
        };
        let task = tokio::spawn(presence.run(stop.clone(), || None, publish));
        Self { stop, task }
    }

    /// Removes the presence: a clean stop is not a crash.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        // It only fails because of a bug, and nothing can be done about it here.
        self.task.await.ok();
    }
}
