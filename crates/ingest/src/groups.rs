//! Creates the queue's consumer groups as soon as Redis answers, so that a worker which comes later finds every event.
//! In the background: ingest starts, and answers 503, while Redis is down.

use std::time::Duration;

use queue::Producer;
use service::telemetry::chain;

const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Tries until it has worked.
pub(crate) async fn create(producer: &Producer) {
    let mut pause = PAUSE_MIN;
    let mut told = false;
    while let Err(error) = producer.create_groups().await {
        // Once is enough: every webhook that is answered 503 makes a line of its own.
        if !told {
            tracing::warn!(
                error = chain(&error),
                "queue is not ready: webhooks are answered 503 until Redis is back"
            );
            told = true;
        }
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
    tracing::info!("queue is ready");
}
