//! What an operator does to dead letters: bring them back, or let them go. Each leaves a record (`{…}:records`).

use redis::RedisError;
use webhook::Family;

use crate::dead_letters::DeadLetter;
use crate::entry::RawEntry;
use crate::error::QueueError;
use crate::keys::FamilyKeys;
use crate::scripts;
use crate::stats::QueueReader;

impl QueueReader {
    /// A family's dead letters from the oldest on, beginning after the letter `after`.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn dead_letters_after(
        &self,
        family: Family,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let mut connection = self.connection().await?;
        let from = after.map_or_else(|| "-".to_owned(), |id| format!("({id}"));
        let mut command = redis::cmd("XRANGE");
        command.arg(self.keys.dead(family)).arg(from).arg("+").arg("COUNT").arg(limit);
        let letters: Result<Vec<RawEntry>, RedisError> = command.query_async(&mut connection).await;
        let letters =
            letters.map_err(|source| QueueError::Redis { operation: "read dead letters", source })?;
        Ok(letters.into_iter().map(|(id, flat)| DeadLetter::decode(id, &flat)).collect())
    }

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
