//! Blocks every write of events to a database, as another application may do; reading goes on.

use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};

/// A client that holds a lock until it is dropped.
pub(crate) enum WriteLock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl WriteLock {
    /// Waits until it holds the lock.
    pub(crate) async fn on(database_url: &str) -> Self {
        if database_url.starts_with("sqlite") {
            let mut client = SqliteConnection::connect(database_url).await.unwrap();
            client.execute("BEGIN IMMEDIATE").await.unwrap();
            return Self::Sqlite(client);
        }
        let mut client = PgConnection::connect(database_url).await.unwrap();
        client.execute("BEGIN").await.unwrap();
        client.execute("LOCK TABLE events IN EXCLUSIVE MODE").await.unwrap();
        Self::Postgres(client)
    }

    pub(crate) async fn release(self) {
        match self {
            Self::Sqlite(client) => client.close().await.unwrap(),
            Self::Postgres(client) => client.close().await.unwrap(),
        }
    }
}
