//! [`Store`]: whether the database does its work now, tried and seen.

use super::Store;
use crate::database::Database;
use crate::error::StoreError;
use crate::folder_check;
use crate::tables::health;

/// Health.
impl Store {
    /// Tries what workers do: writes an event with a body of so many bytes, and takes it back. For SQLite a file beside
    /// the database is written as well, because a transaction that is taken back never reaches the disk.
    ///
    /// # Errors
    /// When the database cannot be written; [`StoreError::write_fault`] says why.
    pub async fn check_write(&self, body_bytes: usize) -> Result<(), StoreError> {
        if let Database::Sqlite(sqlite) = &self.database {
            folder_check::check("DATABASE_URL", &sqlite.folder()).await?;
        }
        health::write_and_roll_back(&self.database, body_bytes).await.map_err(StoreError::database("write"))
    }

    /// Why the newest objects that events named are not there as a whole, `None` for those that are: the newest first,
    /// each object once. The reason is a [`webhook::Reason`]'s name.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn recent_objects(
        &self,
        objects_max: usize,
    ) -> Result<Vec<(String, Option<String>)>, StoreError> {
        let objects = health::recent_objects(&self.database, objects_max).await;
        objects.map_err(StoreError::database("read recent events"))
    }

    /// How many events wait for a retry because OpenAI refused the API key.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_refused_events(&self) -> Result<i64, StoreError> {
        health::count_refused(&self.database).await.map_err(StoreError::database("count events"))
    }
}
