//! Ingest's report of itself in Redis, and what its metrics say of Redis and of the other programs.

use queue::{Presence, PresenceSnapshot, QueueAdmin, QueueError};
use service::metrics::RedisMetrics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The task that reports this ingest.
#[derive(Debug)]
pub(crate) struct Report {
    gone: CancellationToken,
    task: JoinHandle<()>,
}

impl Report {
    pub(crate) fn start(reader: QueueAdmin, metrics: RedisMetrics) -> Self {
        let gone = CancellationToken::new();
        let presence = Presence::new(reader, queue::consumer_name(), "ingest", env!("CARGO_PKG_VERSION"));
        let publish = move |seen: Result<PresenceSnapshot, QueueError>| match seen {
            Ok(seen) => metrics.reached(seen.faults(), seen.alive()),
            Err(_) => metrics.lost(),
        };
        let task = tokio::spawn(presence.run(gone.clone(), || None, publish));
        Self { gone, task }
    }

    /// Takes the report back: a clean stop is no death.
    pub(crate) async fn end(self) {
        self.gone.cancel();
        // It only fails by a bug, and there is nothing left to do for it.
        self.task.await.ok();
    }
}
