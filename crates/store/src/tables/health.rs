//! Checks that the database works: it responds and accepts a write that is rolled back. Also reports how recent events
//! ended.

use chrono::Utc;
use webhook::{EventState, Family};

use crate::database::Database;
use crate::error::StoreError;
use crate::folder_check;
use crate::server::DatabaseServer;
use crate::store::Store;
use crate::value::Value;

/// The project of the test row, which is never committed.
const CHECK_PROJECT: &str = "landfall-check";

impl Store {
    /// Checks that the database responds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let answered = match &self.database {
            Database::Sqlite(sqlite) => sqlite.ping().await,
            Database::Postgres(postgres) => postgres.ping().await,
        };
        answered.map_err(StoreError::database("run a query"))
    }

    /// The database server; `None` for SQLite.
    pub async fn server(&self) -> Result<Option<DatabaseServer>, StoreError> {
        match &self.database {
            Database::Sqlite(_) => Ok(None),
            Database::Postgres(postgres) => {
                postgres.server().await.map(Some).map_err(StoreError::database("read the server settings"))
            }
        }
    }

    /// Writes an event with a body of the given size, as workers do, and rolls it back. For SQLite a file next to the
    /// database is written too, because a transaction that is rolled back never reaches the disk.
    ///
    /// # Errors
    /// When the database cannot be written; [`StoreError::write_fault`] says why.
    pub async fn check_write(&self, body_bytes: usize) -> Result<(), StoreError> {
        if let Database::Sqlite(sqlite) = &self.database {
            folder_check::check("DATABASE_URL", &sqlite.folder()).await?;
        }
        // Random bytes, which cannot be compressed.
        let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(body_bytes).collect();
        let webhook_id = format!("check-{:016x}", fastrand::u64(..));
        let insert = "INSERT INTO events (project, webhook_id, type, family, received_at, attempts, state, body_bytes) \
                      VALUES ($1, $2, 'landfall.check', $3, $4, $5, $6, $7)";
        let values = [
            Value::text(CHECK_PROJECT),
            Value::text(&webhook_id),
            Value::member(Family::Other),
            Value::time(Utc::now()),
            0_i64.into(),
            Value::member(EventState::Received),
            Value::bytes(Some(&body)),
        ];
        let tried = async {
            let mut transaction = self.database.begin().await?;
            transaction.execute(insert, &values).await?;
            transaction.rollback().await
        };
        tried.await.map_err(StoreError::database("write a test row"))
    }
}
