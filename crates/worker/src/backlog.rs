//! Publishes how much is queued, how old it is, and why events were given up, as metrics.

use std::collections::HashMap;
use std::time::Duration;

use queue::{QueueError, QueueReader};
use service::telemetry::chain;
use tokio_util::sync::CancellationToken;
use webhook::Family;

use crate::metrics::Metrics;

const EVERY: Duration = Duration::from_secs(5);
/// Dead letters are few, or something is very wrong; then the newest tell enough.
const DEAD_LETTERS_MAX: usize = 1000;

/// Runs until `shutdown`.
pub(crate) async fn publish(reader: QueueReader, metrics: Metrics, shutdown: CancellationToken) {
    let mut dead = HashMap::new();
    loop {
        // The loops log an outage; meanwhile the gauges keep their last value.
        if let Err(error) = publish_once(&reader, &metrics, &mut dead).await {
            tracing::debug!(error = chain(&error), "could not read the backlog");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// `dead` holds the counts of the last time: dead letters are only read when there are others.
async fn publish_once(
    reader: &QueueReader,
    metrics: &Metrics,
    dead: &mut HashMap<Family, u64>,
) -> Result<(), QueueError> {
    for family in reader.stats().await? {
        metrics.queue(&family);
        if dead.insert(family.family, family.dead) != Some(family.dead) {
            metrics.dead_letters(family.family, &reader.dead_letters(family.family, DEAD_LETTERS_MAX).await?);
        }
    }
    Ok(())
}
