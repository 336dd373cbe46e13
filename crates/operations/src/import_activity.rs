//! Whether an unfinished import of a batch goes on, and if not, why.

use queue::QueueAdmin;
use store::{EventRecord, Store, StoreError, StoredBatch};
use webhook::{EventState, Family};

use crate::status::QueueStatus;

/// What happens to an import that is not complete.
#[derive(Debug, Clone)]
pub enum ImportActivity {
    /// A worker is at it.
    Running,
    /// Its event is not settled, but no worker is alive that imports a batch.
    NoWorker,
    /// Redis, which knows the workers, cannot be read.
    Unknown,
    /// It goes on with the next attempt.
    Retrying(Box<EventRecord>),
    /// Its event is a dead letter.
    Dead(Box<EventRecord>),
    /// No event continues it.
    Abandoned,
}

/// Looks at the events of the batch and at the workers. Each event imports the whole batch, so the one that is most likely
/// to succeed counts.
///
/// # Errors
/// When the database cannot be read.
pub async fn import_activity(
    store: &Store,
    queue: &QueueAdmin,
    stored: &StoredBatch,
) -> Result<ImportActivity, StoreError> {
    let batch = &stored.batch;
    let events = store.events_about(&batch.batch_id).await?;
    let is_ours = |event: &&EventRecord| event.project == batch.project && event.family == Family::Batch;
    let in_state = |state: EventState| events.iter().filter(is_ours).find(|event| event.state == state);
    Ok(if in_state(EventState::Received).is_some() {
        match QueueStatus::read(queue).await.map(|status| status.is_importing()) {
            Ok(true) => ImportActivity::Running,
            Ok(false) => ImportActivity::NoWorker,
            Err(_) => ImportActivity::Unknown,
        }
    } else if let Some(event) = in_state(EventState::Retrying) {
        ImportActivity::Retrying(Box::new(event.clone()))
    } else if let Some(event) = in_state(EventState::Dead) {
        ImportActivity::Dead(Box::new(event.clone()))
    } else {
        ImportActivity::Abandoned
    })
}
