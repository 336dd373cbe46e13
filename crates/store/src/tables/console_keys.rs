//! The table `console_keys`. Its rows are made by the migration that creates it, so that a program that only reads has them.

use crate::error::StoreError;
use crate::store::Store;
use crate::value::Value;

/// The row for sessions.
const SESSIONS: &str = "sessions";

/// Keys of the console.
impl Store {
    /// Random bytes of this database, with which the console signs sessions; `None` if an operator has deleted the row.
    pub async fn session_secret(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let select = "SELECT secret FROM console_keys WHERE name = $1";
        let read = |row: &crate::row::Row| row.get::<Vec<u8>>("secret");
        let values = [Value::text(SESSIONS)];
        Ok(self.database.read("read the key of sessions", select, &values, read).await?.pop())
    }
}
