//! Waits while a family's queue is full.

use std::time::Duration;

use operations::requeue::RequeueError;

use crate::exit::CliError;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Reports a full queue once in the run of a command.
#[derive(Debug, Default)]
pub(crate) struct FullQueue {
    is_reported: bool,
}

impl FullQueue {
    /// Repeats what enqueues an event until there is room for it, without a limit. After Ctrl-C, events enqueued so far
    /// stay in the queue.
    pub(crate) async fn wait_for_room<T>(
        &mut self,
        mut enqueue: impl AsyncFnMut() -> Result<T, RequeueError>,
    ) -> Result<T, CliError> {
        loop {
            match enqueue().await {
                Err(RequeueError::Full(family)) => {
                    if !self.is_reported {
                        self.is_reported = true;
                        eprintln!("landfall: the {family} queue is full; waiting for workers to drain it");
                    }
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                enqueued => return Ok(enqueued?),
            }
        }
    }
}
