//! What an operator does to dead letters: bring them back, or let them go. Each leaves a record (`{…}:records`).

use webhook::Family;

use crate::error::QueueError;
use crate::reader::QueueReader;
use crate::scripts;

/// Records kept of what operators did to dead letters; about the newest.
const RECORDS_MAX: usize = 100_000;

impl QueueReader {
    /// Enqueues a dead letter again, as if it had been received now, and takes it out of the dead letters. The new
    /// entry's id; `None` when there is no such letter, perhaps because another operator was faster.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses; nothing is changed, or, when only the answer was lost, all of it.
    pub async fn redrive(&self, family: Family, dead_id: &str) -> Result<Option<String>, QueueError> {
        let mut script = scripts::REDRIVE.prepare_invoke();
        script.key(self.keys.dead(family)).key(self.keys.events(family)).key(self.keys.records());
        script.arg(dead_id).arg(family.as_str()).arg(RECORDS_MAX);
        self.invoke("redrive a dead letter", &script).await
    }

    /// Deletes a dead letter for good. `false` when there is no such letter.
    pub async fn discard(&self, family: Family, dead_id: &str) -> Result<bool, QueueError> {
        let mut script = scripts::DISCARD.prepare_invoke();
        script.key(self.keys.dead(family)).key(self.keys.records());
        script.arg(dead_id).arg(family.as_str()).arg(RECORDS_MAX);
        self.invoke("discard a dead letter", &script).await
    }
}
