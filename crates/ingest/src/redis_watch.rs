//! Watches Redis in the background, so that ingest starts, and answers 503, while Redis is down: checks it when it comes,
//! creates the consumer groups, then looks at its memory again and again.

use std::time::Duration;

use queue::{Producer, QueueReader, UnfitServer};
use service::telemetry::chain;
use tokio_util::sync::CancellationToken;

use crate::admission::AdmissionGate;
use crate::redis_memory::RedisMemory;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(250);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct RedisWatch {
    pub(crate) gate: AdmissionGate,
    pub(crate) reader: QueueReader,
    pub(crate) producer: Producer,
    pub(crate) allow_volatile: bool,
    pub(crate) memory: RedisMemory,
}

impl RedisWatch {
    /// Runs until `stop`. Cancels it when Redis came and would lose events, which ends the program.
    ///
    /// # Errors
    /// [`UnfitServer`] then.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), UnfitServer> {
        let ended = stop.run_until_cancelled(self.watch()).await.unwrap_or(Ok(()));
        if ended.is_err() {
            stop.cancel();
        }
        ended
    }

    async fn watch(&mut self) -> Result<(), UnfitServer> {
        if self.gate.admit().is_err() {
            self.reader.until_fit(self.allow_volatile).await?;
            self.gate.open();
        }
        self.create_consumer_groups().await;
        loop {
            // While Redis refuses events they are answered 503 anyway.
            if let Err(error) = self.memory.look().await {
                tracing::debug!(error = chain(&error), "could not look at Redis' memory");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tries until it has worked, so that a worker that starts later finds every event.
    async fn create_consumer_groups(&self) {
        let mut pause = RETRY_PAUSE_MIN;
        let mut logged = false;
        while let Err(error) = self.producer.create_groups().await {
            // Once is enough: every webhook that is answered 503 is logged too.
            if !logged {
                tracing::warn!(
                    error = chain(&error),
                    "queue is not ready: webhooks are answered 503 until Redis is back"
                );
                logged = true;
            }
            tokio::time::sleep(pause).await;
            pause = RETRY_PAUSE_MAX.min(pause * 2);
        }
        tracing::info!("queue is ready");
    }
}
