//! What all handlers share.

use std::sync::Arc;

use queue::{QueueAdmin, QueueConfig};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::changes::Changes;
use crate::database::Database;
use crate::waiting::Waiting;

/// One for the whole process.
pub(crate) struct State {
    pub(crate) database: Database,
    pub(crate) queue: QueueAdmin,
    pub(crate) queue_config: QueueConfig,
    pub(crate) waiting: Waiting,
    pub(crate) changes: Changes,
    /// For clients of the event stream.
    pub(crate) stream_places: Arc<Semaphore>,
    pub(crate) access: Access,
    /// The setting `CONSOLE_NAME`.
    pub(crate) name: Option<String>,
    /// Fires when the console stops.
    pub(crate) stopped: CancellationToken,
}

impl State {
    /// For the head of every page.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}
