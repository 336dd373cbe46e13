//! What an operator does to dead letters: bring them back, or let them go. Each leaves a record (`{…}:records`).

use webhook::Family;

use crate::error::QueueError;
use crate::keys::FamilyKeys;
use crate::scripts;
use crate::stats::QueueReader;

impl QueueReader {
    /// Enqueues a dead letter again, as if it had been received now, and takes it out of the dead letters. The new
    /// entry's id; `None` when there is no such letter, perhaps because another operator was faster.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses; nothing is changed, or, when only the answer was lost, all of it.
    pub async fn redrive(&self, family: Family, dead_id: &str) -> Result<Option<String>, QueueError> {
        let keys = FamilyKeys::new(&self.keys, family);
        let mut connection = self.connection().await?;
        scripts::redrive(&mut connection, &keys, &self.keys.records(), family, dead_id).await
    }

    /// Deletes a dead letter for good. `false` when there is no such letter.
    ///
    /// # Errors
    /// As [`QueueReader::redrive`].
    pub async fn discard(&self, family: Family, dead_id: &str) -> Result<bool, QueueError> {
        let keys = FamilyKeys::new(&self.keys, family);
        let mut connection = self.connection().await?;
        scripts::discard(&mut connection, &keys, &self.keys.records(), family, dead_id).await
    }
}
