//! Publishes the presence of this console in Redis, and the metrics about Redis and the other programs.

use queue::{Presence, PresenceSnapshot, QueueAdmin, QueueError};
use service::metrics::{RedisMetrics, Registry};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Publishes until `stopped`, then deregisters: a clean stop is not a crash.
pub(crate) fn start(
    queue: QueueAdmin,
    registry: &mut Registry,
    stopped: CancellationToken,
) -> JoinHandle<()> {
    let metrics = RedisMetrics::new(registry);
    let presence = Presence::new(queue, queue::consumer_name(), "console", env!("CARGO_PKG_VERSION"));
    let publish = move |seen: Result<PresenceSnapshot, QueueError>| match seen {
        Ok(seen) => metrics.reached(seen.faults(), seen.alive()),
        Err(_) => metrics.lost(),
    };
    tokio::spawn(presence.run(stopped, || None, publish))
}
